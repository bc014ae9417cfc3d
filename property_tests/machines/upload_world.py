"""An upload, its assembly and its account as they should be, and how that is compared with the server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from property_tests.machines.machine import TTL, Snapshot, agreed
from property_tests.machines.server_snapshot import numbers_of
from property_tests.machines.test_claim_model import BACKOFF, MOST, Working
from property_tests.models.base import Call, Refused
from property_tests.models.claim import Claim
from property_tests.models.upload import Upload as Model
from redis_state import QuotaExceeded
from redis_state.keys import Keys
from redis_state.state import RedisUploadState
from redis_state.transfer import assembly
from redis_state.transfer.records import TransferOperations

CHUNK = 8
QUOTA = 150  # bytes of an owner
KEYS = Keys("upload")
OWNER = "ann b"


class UploadWorld(Working):
    """An upload and its assembly, and another one of the same owner that takes room."""

    indexed = "r"
    companions = "bk"
    records = TransferOperations(KEYS, TTL, lambda: "me", ["bitmap", "checksums"])
    policy = assembly.policy(MOST, BACKOFF)
    scripts = assembly.ASSEMBLY_SCRIPTS
    name = "u"

    def start(self) -> None:
        super().start()
        self.real = RedisUploadState("me", self.engine, TTL, max_bytes_per_owner=QUOTA)
        self.other = RedisUploadState("you", self.observer, TTL)
        self.late = RedisUploadState("late", self.engine, TTL)
        self.session = 0
        self.late_saw: int | None = None  # which session
        self.model = Model(CHUNK)
        self.beside: int | None = None  # the size of the other upload
        self.dead: dict[str, float] = {}  # how long ago

    def lost(self) -> None:
        super().lost()
        self.model = self.model.wipe(None)
        self.beside, self.dead = None, {}

    @property
    def work(self) -> Claim:
        return self.model.work

    @work.setter
    def work(self, work: Claim) -> None:
        self.model = replace(self.model, work=work)

    def heard(self, act: Callable[[], Any]) -> Any:
        """Learn the token of an abort from the first refusal that tells it: the lock keeps it."""
        untold = self.work.newest is None
        said = super().heard(act)
        if untold and isinstance(said, Refused) and said.error == "StaleToken":
            (self.granted,) = said.facts
        return said

    def worked(self, verb: str, args: tuple[Any, ...], act: Callable[[], Any]) -> Any:
        """Do the same to both; a session that nobody has taken yet takes notes as well."""
        said, state = self.heard(act), self.work.state
        known = replace(self.work, state="taken" if self.model.exists else None) if verb == "update" else self.work
        after = agreed(known, Call(verb, args), said)
        self.work = replace(after, state=state) if verb == "update" else after
        return said

    # --- room -------------------------------------------------------------------------------------

    @property
    def reserved(self) -> int | None:
        """How many bytes it reserves; None: it is not counted."""
        model = self.model
        if not model.exists or model.closed or model.whole:
            return None
        return model.received if model.total is None else model.total

    @property
    def used(self) -> int:
        return (self.reserved or 0) + (self.beside or 0)

    def exceeds(self, more: int, act: Callable[[], Any]) -> bool:
        """Tell whether so many bytes more are too many; then that is said, and nothing changes."""
        if more <= 0 or self.used + more <= QUOTA:
            return False
        with pytest.raises(QuotaExceeded) as caught:
            act()
        assert (caught.value.used, caught.value.limit) == (self.used, QUOTA)
        return True

    # --- what the server must hold ----------------------------------------------------------------

    @property
    def status(self) -> str:
        model = self.model
        if model.closed or model.work.state == "taken":
            return model.closed or "assembling"
        return "complete" if model.whole else "uploading"

    def agrees(self, snapshot: Snapshot) -> None:
        super().agrees(snapshot)
        model = self.model
        assert snapshot.of("r").keys() == ({"u"} if model.exists else set()) | (
            {"o"} if self.beside is not None else set()
        )
        quota_keys = {kind: seen.holds for kind in ("reserved", "accounts") for seen in snapshot.of(kind).values()}
        facts = [text.split(" ", 1) for text in quota_keys.get("reserved", {}).values()]
        counted = Counter(n=sum(bytes_ != "-" for bytes_, _ in facts), b=sum(int(b) for b, _ in facts if b != "-"))
        counted["d"] = sum(len(seen.holds) for seen in snapshot.of("dead").values())
        accounts = {f"{what}:{OWNER}": str(number) for what, number in counted.items() if number}
        assert quota_keys.get("accounts", {}) == accounts
        if not model.exists:
            return
        session = self.other.get_session("u")
        assert session is not None
        assert (session["bytes_received"], session["chunks_received"]) == (model.received, len(model.chunks))
        assert (session["total_size"], session["total_chunks"]) == (model.total, model.needed)
        assert session["status"] == self.status
        awaiting = model.whole and not model.closed and model.work.holder is None
        assert self.other.awaiting_assembly() == (["u"] if awaiting else [])
        bits, checks = snapshot.of("b"), snapshot.of("k")
        kept = {} if model.closed else model.chunks
        assert (numbers_of(bits["u"].holds) if bits else set()) == kept.keys()
        told = {str(number): checksum for number, (_, checksum) in kept.items() if checksum}
        assert (checks["u"].holds if checks else {}) == told
        if not model.closed:
            missing = tuple(number for gap in self.other.missing("u") for number in gap)
            assert model.step(Call("missing"), missing)
