-- lib/lru: a shard of the text cache: its totals, and how entries come and go.
--
-- `shard` has the keys: blobs, facts, uses (name -> last use in us), ends (name -> expiry in ms).
local facts = include('lib/facts')
local lru = {}

local PACKED = '>ddddddddd'
local DAY_MS = 86400000

-- Return the totals, from their packed form. `fresh`: nothing was ever put, or it is long ago.
function lru.totals(packed, budget)
  local t = { tick = 0, hits = 0, misses = 0, bytes = 0, entries = 0, evictions = 0, expirations = 0, refused = 0 }
  if not packed then
    t.budget, t.fresh = budget, true
    return t
  end
  t.tick, t.hits, t.misses, t.bytes, t.entries, t.budget, t.evictions, t.expirations, t.refused =
    struct.unpack(PACKED, packed)
  return t
end

-- Write the totals, and an entry beside them. All keys of the shard end at one instant, days after the last entry.
function lru.save(shard, t, now, ...)
  redis.call('HSET', shard.facts, facts.TOTALS, struct.pack(PACKED,
    t.tick, t.hits, t.misses, t.bytes, t.entries, t.budget, t.evictions, t.expirations, t.refused), ...)
  if t.fresh or ... and (t.entries <= 1 or redis.call('PTTL', shard.uses) < 2 * DAY_MS) then
    for _, key in pairs(shard) do
      redis.call('PEXPIREAT', key, now + 3 * DAY_MS)
    end
  end
end

-- Count a put that is refused, also at the memory limit: a first write that cannot grow opens the way.
function lru.refuse(shard, totals, now)
  redis.call('ZREM', shard.uses, facts.TOTALS)
  totals.refused = totals.refused + 1
  lru.save(shard, totals, now)
end

-- Take entries out. `found`: their facts, in the same order.
function lru.remove(shard, totals, names, found)
  for _, entry in ipairs(found) do
    if entry then
      totals.bytes = totals.bytes - facts.stored(entry)
      totals.entries = totals.entries - 1
    end
  end
  redis.call('HDEL', shard.facts, unpack(names))
  redis.call('HDEL', shard.blobs, unpack(names))
  redis.call('ZREM', shard.uses, unpack(names))
  redis.call('ZREM', shard.ends, unpack(names))
end

return lru
