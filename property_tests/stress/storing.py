"""Work with uploads, whose bytes lie in files, and with texts."""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress

from property_tests.stress.client import Client
from property_tests.stress.config import (
    BUDGET,
    CHUNK,
    CHUNKS,
    LOAD_LEASE,
    TEXTS,
    TTL,
    content,
    text,
    texts_of,
    write_whole,
)
from redis_state import (
    AlreadyDone,
    ChunkConflict,
    ChunkSizeMismatch,
    ComputeFailed,
    LockLost,
    NotApplied,
    OutcomeUnknown,
    StaleToken,
    UnknownSession,
    UploadClosed,
)
from redis_state.state import RedisUploadState


class Storing:
    """What is kept."""

    def __init__(self, client: Client) -> None:
        self.client, self.chance, self.invoke, self.folder = client, client.chance, client.invoke, client.folder
        self.uploads, self.texts = RedisUploadState(engine=client.engine, ttl=TTL), texts_of(client.engine)
        self.turns = {self.deliver: 10, self.assemble_one: 1, self.read: 6, self.write: 6, self.load: 4}

    # --- uploads ----------------------------------------------------------------------------------

    def deliver(self) -> None:
        upload = self.client.one_of("upload")
        key = f"upload-{upload}"
        try:
            left = [number for gap in self.uploads.missing(key) for number in gap]
            number = self.chance.choice(left if left and self.chance.random() < 0.6 else range(CHUNKS))
            piece = content(key)[CHUNK * number : CHUNK * (number + 1)]
            write_whole(self.folder / f"{key}.{number}", piece)
            if self.chance.random() < 0.05:
                self.uploads.accept_chunk(key, number, len(piece) + 1)
                raise AssertionError(f"{key} took a chunk that is too large")
            receipts = self.invoke(
                "accept",
                lambda: self.uploads.accept_chunks(key, [(number, len(piece), hashlib.sha256(piece).hexdigest())]),
                lambda receipts: [receipts[0].outcome, receipts[0].completed_now],
                key=key,
                number=number,
            )
        except UnknownSession:
            data = {"upload_id": key, "total_size": len(content(key)), "chunk_size": CHUNK}
            with suppress(ValueError):  # somebody else was faster
                self.invoke("open", lambda: self.uploads.create_session(data), key=key)
        except UploadClosed:
            self.client.over("upload", upload)
        except (ChunkSizeMismatch, ChunkConflict, NotApplied, OutcomeUnknown):
            pass
        else:
            if receipts and receipts[0].completed_now:
                self.assemble(key)

    def assemble_one(self) -> None:
        with suppress(NotApplied):
            for key in self.uploads.awaiting_assembly()[:1]:
                self.assemble(key)

    def assemble(self, key: str) -> None:
        try:
            claim = self.client.claim("assemble", key, self.uploads.claim_assembly)
        except AlreadyDone:
            return
        if claim is None:
            return
        self.client.believe("assemble", key, claim, self.chance.uniform(0.0, 0.05))
        pieces = [(self.folder / f"{key}.{number}").read_bytes() for number in range(CHUNKS)]
        write_whole(self.folder / f"{key} stored", b"".join(pieces))
        with suppress(StaleToken, LockLost, UnknownSession):
            self.invoke("store", lambda: claim.finish(claim.fence), key=key, fence=claim.fence)

    # --- texts ------------------------------------------------------------------------------------

    def read(self) -> None:
        key = self.a_text()
        entry = self.invoke("get", lambda: self.texts.get(key), lambda entry: entry is not None, resolves=False)
        assert entry is None or entry.content == text(key), f"another text was kept for {key}"
        with suppress(NotApplied):
            used = self.texts.stats().bytes
            assert used <= BUDGET, f"the text cache holds {used} bytes, and its budget is {BUDGET}"

    def write(self) -> None:
        key = self.a_text()
        if self.chance.random() < 0.1:
            self.invoke("drop", lambda: self.texts.drop(key), resolves=False)
        else:
            ttl = self.chance.choice((0.3, 60.0))
            self.invoke("put", lambda: self.texts.put(key, text(key), ttl=ttl), resolves=False)

    def load(self) -> None:
        key = self.a_text()

        def loader() -> str:
            number = self.client.log.begin("load", key=key, asked=asked)
            time.sleep(self.chance.uniform(0.0, 0.02))
            self.client.log.end(number)
            return text(key)

        asked = time.monotonic()
        try:
            found = self.invoke(
                "get_or_load", lambda: self.texts.get_or_load(key, loader, lease=LOAD_LEASE), len, resolves=False
            )
        except ComputeFailed:  # the caller that computed it was interrupted
            return
        assert found is None or found == text(key), f"another text was loaded for {key}"

    def a_text(self) -> str:
        return f"text-{self.chance.randrange(TEXTS)}"
