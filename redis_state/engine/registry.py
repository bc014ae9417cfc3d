"""All scripts, by name, read once from the package, or from the checkout beside it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from redis_state.engine.script import Script, parse
from redis_state.errors import ContractError


@cache
def lua_directory() -> Path:
    """Return the folder of the Lua files: in the wheel ``redis_state/lua``, in a checkout ``lua/`` beside it."""
    package = Path(__file__).resolve().parent.parent
    if (inside := package / "lua").is_dir():
        return inside
    beside = package.parent / "lua"
    if beside.is_dir() and (package.parent / "pyproject.toml").is_file():
        return beside
    raise ContractError(f"no Lua files in {inside}: this installation of redis-state is not whole; install it again")


@cache
def script(name: str) -> Script:
    """Return the script ``lua/{name}.lua``."""
    return parse(name, _source(name), _source)


def all_scripts() -> list[Script]:
    """Return every script, sorted by name; the modules in ``lua/lib`` are not scripts."""
    files = sorted(lua_directory().rglob("*.lua"))
    names = [file.relative_to(lua_directory()).with_suffix("").as_posix() for file in files]
    return [script(name) for name in names if not name.startswith("lib/")]


@cache
def _source(name: str) -> str:
    file = lua_directory() / f"{name}.lua"
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ContractError(f"no script is called {name!r}: {error.strerror} ({file})") from None
