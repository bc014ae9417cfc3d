-- lib/text_shard: the totals of a shard of the text cache, and the removal of its entries.
--
-- `shard` has the keys: texts, metadata, lru (name -> last use in us), expiries (name -> expiry in ms).
local text_entry = include('lib/text_entry')
local text_shard = {}

local PACKED = '>ddddddddd'
local DAY_MS = 86400000

-- Return the totals, from their packed form. `fresh`: the shard is new, or was empty for days.
function text_shard.totals(packed, budget)
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
function text_shard.save(shard, t, now, ...)
  redis.call('HSET', shard.metadata, text_entry.TOTALS, struct.pack(PACKED,
    t.tick, t.hits, t.misses, t.bytes, t.entries, t.budget, t.evictions, t.expirations, t.refused), ...)
  if t.fresh or ... and (t.entries <= 1 or redis.call('PTTL', shard.lru) < 2 * DAY_MS) then
    for _, key in pairs(shard) do
      redis.call('PEXPIREAT', key, now + 3 * DAY_MS)
    end
  end
end

-- Count a put that is refused, also at the memory limit: a first write that cannot grow opens the way.
function text_shard.refuse(shard, totals, now)
  redis.call('ZREM', shard.lru, text_entry.TOTALS)
  totals.refused = totals.refused + 1
  text_shard.save(shard, totals, now)
end

-- Remove entries. `found`: their packed metadata, in the same order.
function text_shard.remove(shard, totals, names, found)
  for _, entry in ipairs(found) do
    if entry then
      totals.bytes = totals.bytes - text_entry.bytes(entry)
      totals.entries = totals.entries - 1
    end
  end
  redis.call('HDEL', shard.metadata, unpack(names))
  redis.call('HDEL', shard.texts, unpack(names))
  redis.call('ZREM', shard.lru, unpack(names))
  redis.call('ZREM', shard.expiries, unpack(names))
end

return text_shard
