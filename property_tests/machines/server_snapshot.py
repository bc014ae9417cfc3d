"""Snapshot of all that a server holds at one instant; and how all of it is made older, so that no test has to sleep."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import redis

QUANTUM = 400.0  # seconds that pass at a time
NEAR = 90.0  # seconds; what a slow machine may take


class Seen(NamedTuple):
    """What a key holds: a dict for a hash or a zset, else a text or a list. ``left``: seconds, None for ever."""

    holds: Any
    left: float | None


# What all keys hold. The order of a zset is kept.
SNAPSHOT = """
local found, read = {}, {
  hash = function(key) return redis.call('HGETALL', key) end,
  zset = function(key) return redis.call('ZRANGE', key, 0, -1, 'WITHSCORES') end,
  string = function(key) return redis.call('GET', key) end,
  list = function(key) return redis.call('LRANGE', key, 0, -1) end,
  stream = function(key) return redis.call('XRANGE', key, '-', '+') end,
}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', key).ok
  found[#found + 1] = { key, kind, redis.call('PTTL', key), read[kind](key) }
end
local time = redis.call('TIME')
return { string.format('%.3f', time[1] + time[2] / 1000000), found }
"""

# Let time pass: everything that ends, ends sooner, and everything that was, was longer ago. Tokens and versions stay,
# and so do the records of calls, which end by the clock of their callers.
TIME_PASSES = """
local ms, times = tonumber(ARGV[1]), { ['@created'] = 1, ['@updated'] = 1, ['@retry_at'] = 1, since = 1, first = 1,
  last = 1 }
local function older(score)    -- us, or ms; below 0: a waiter that left
  local by = math.abs(score) > 1e14 and ms * 1000 or ms
  return string.format('%.0f', score < 0 and by or -by)
end
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind, of = redis.call('TYPE', key).ok, string.match(key, '}:(%a+)')
  if of ~= 'c' then
    if kind == 'zset' then
      local pairs_of = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
      for place = 1, #pairs_of, 2 do
        redis.call('ZINCRBY', key, older(tonumber(pairs_of[place + 1])), pairs_of[place])
      end
    elseif kind == 'hash' then
      local fields = redis.call('HGETALL', key)
      for place = 1, #fields, 2 do
        local field, value = fields[place], fields[place + 1]
        if times[field] then
          redis.call('HINCRBY', key, field, older(tonumber(value)))
        elseif field == '@marks' then
          local moments = { string.match(value, '(%d+) (%d+) (%d+) (%d+)') }
          redis.call('HSET', key, field, string.format('%.0f %s %.0f %s',
            moments[1] - ms, moments[2], moments[3] - ms, moments[4]))
        elseif of == 'metadata' and field ~= '\\255' then
          local ends = struct.unpack('>d', value, 5)
          ends = struct.pack('>d', ends - ms)
          redis.call('HSET', key, field, string.sub(value, 1, 4) .. ends .. string.sub(value, 13))
        end
      end
    end
    local left = redis.call('PTTL', key)
    if left <= ms then
      redis.call('DEL', key)
    else
      redis.call('PEXPIRE', key, left - ms)
    end
  end
end
"""


def near(found: float | None, expected: float) -> bool:
    """Tell whether two times are the same, as far as a test can tell."""
    return found is not None and abs(found - expected) < NEAR


class Snapshot(dict[str, Seen]):
    """What all keys of the server held at one instant, ``now`` in seconds."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__()
        now, found = client.eval(SNAPSHOT, 0)  # type: ignore[misc]
        self.now = float(now)
        for key, kind, left, holds in found:
            if kind in ("hash", "zset"):
                holds = dict(zip(holds[::2], holds[1::2], strict=True))
            if kind == "zset":
                holds = {member: float(score) for member, score in holds.items()}
            self[key] = Seen(holds, None if left < 0 else left / 1000)

    def of(self, kind: str) -> dict[str, Seen]:
        """Return the keys of a kind by their names."""
        return {split_key(key)[2]: seen for key, seen in self.items() if split_key(key)[1] == kind}

    def entries(self, kind: str) -> dict[str, dict[str, Seen]]:
        """Return the keys of a kind by their names, for each partition."""
        found: dict[str, dict[str, Seen]] = {}
        for key, seen in self.items():
            head, of, name = split_key(key)
            if of == kind:
                found.setdefault(head, {})[name] = seen
        return found

    def left(self, kind: str) -> dict[str, float]:
        """Return how many seconds the keys of a kind have left, by their names."""
        return {name: seen.left or 0.0 for name, seen in self.of(kind).items()}

    def held(self) -> dict[str, Any]:
        """Return what keys hold, without the records of calls."""
        return {key: seen.holds for key, seen in self.items() if split_key(key)[1] != "c"}


@cache
def split_key(key: str) -> tuple[str, str, str]:
    head, _, rest = key.partition("}:")
    kind, _, name = rest.partition(":")
    return head + "}:", kind, name


def numbers_of(bitmap: str) -> set[int]:
    """Return the numbers of the bits that are set."""
    held = bitmap.encode("utf-8", "surrogateescape")
    return {8 * place + bit for place, byte in enumerate(held) for bit in range(8) if byte & (128 >> bit)}
