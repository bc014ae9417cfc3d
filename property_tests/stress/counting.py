"""Work with records, progress, locks and claims."""

from __future__ import annotations

from contextlib import suppress

from property_tests.stress.client import Client
from property_tests.stress.config import COUNTERS, LEASE, SEGMENTS, TTL, counters_of, guarded_of
from redis_state import AlreadyDone, LockLost, Locks, StaleToken, UnknownSession
from redis_state.state import RedisConversionState, RedisProgressState


class Counting:
    """What is counted, and who may write."""

    def __init__(self, client: Client) -> None:
        self.client, self.chance, self.invoke = client, client.chance, client.invoke
        engine = client.engine
        self.counters, self.guarded, self.locks = counters_of(engine), guarded_of(engine), Locks("guarded", engine)
        self.progress, self.conversions = (
            RedisProgressState(engine=engine, ttl=TTL),
            RedisConversionState(engine=engine, ttl=TTL),
        )
        self.old_token: dict[str, int] = {}
        self.turns = {self.count: 5, self.rewrite: 2, self.mark: 10, self.hold: 2, self.convert: 2}

    # --- records ----------------------------------------------------------------------------------

    def count(self) -> None:
        key = self.chance.choice(COUNTERS)
        for _ in range(self.chance.randrange(1, 5)):  # a late copy of one comes after the next one
            self.invoke("increment", lambda: self.counters.increment(key, "n"), key=key)

    def rewrite(self) -> None:
        key = self.chance.choice(COUNTERS)
        with suppress(KeyError):
            self.invoke(
                "mutate",
                lambda: self.counters.mutate(key, lambda fields: {**fields, "m": fields.get("m", 0) + 1}),
                lambda fields: fields["m"],
                resolves=False,
                key=key,
            )

    # --- progress ---------------------------------------------------------------------------------

    def mark(self) -> None:
        number, segment = self.client.one_of("track"), self.chance.randrange(SEGMENTS)
        key = f"track-{number}"
        try:
            seen = self.invoke(
                "mark", lambda: self.progress.mark(key, segment), lambda p: p.completed_now, key=key, segment=segment
            )
        except UnknownSession:
            self.invoke("begin", lambda: self.progress.begin(key, SEGMENTS), lambda p: p.processed, key=key)
            return
        if seen and seen.completed_now:
            self.invoke("confirm", lambda: self.progress.confirm_completion(key), key=key)
        if seen and seen.finished:
            self.client.over("track", number)

    # --- locks and claims -------------------------------------------------------------------------

    def hold(self) -> None:
        key = self.chance.choice("xy")
        kept, lease = self.chance.random() < 0.7, self.chance.choice((0.25, LEASE))
        lock = self.locks.lock(key, lease=lease, auto_renew=kept)
        held = self.invoke(
            "acquire", lambda: lock.acquire(timeout=0.5), lambda held: held and held.fence, resolves=False, key=key
        )
        if held is None:
            return
        self.client.believe("acquire", key, held, self.chance.uniform(0.0, 0.05 if kept else 0.4))
        if self.chance.random() < 0.3:
            self.write_guarded(key, self.old_token.get(key, held.fence))
        self.old_token[key] = held.fence
        self.write_guarded(key, held.fence)
        with suppress(LockLost):
            self.invoke("release", held.release, key=key)

    def write_guarded(self, key: str, token: int) -> None:
        with suppress(StaleToken):
            self.invoke("fenced", lambda: self.guarded.increment(key, "n", fence=token), key=key, fence=token)

    def convert(self) -> None:
        number = self.client.one_of("conversion")
        key = f"conversion-{number}"
        try:
            claim = self.client.claim("claim", key, self.conversions.claim)
        except AlreadyDone:
            self.client.over("conversion", number)
            return
        if claim is None:
            return
        self.client.believe("claim", key, claim, self.chance.uniform(0.0, 0.05))
        with suppress(StaleToken, LockLost):
            chance = self.chance.random()
            if chance < 0.2:
                self.invoke("fail", lambda: claim.fail("by chance"), key=key)
            elif chance < 0.3:
                self.invoke("release", claim.release, key=key)
            else:
                self.invoke("finish", lambda: claim.finish(claim.fence), key=key, fence=claim.fence)
