-- lib/eviction: remove entries of a shard of the text cache: expired ones first, then the least recently used.
--
-- Victims are read in batches that grow, since most calls need one and some need thousands, and removed together,
-- at a quarter of the cost of one by one. A call removes a bounded number, so that other clients are served in
-- between; the caller asks again.
local text_entry = include('lib/text_entry')
local text_shard = include('lib/text_shard')
local eviction = {}

local MAX_ENTRIES = 128       -- removed by a call
local MAX_BYTES = 16777216    -- removed by a call: freeing large allocations takes time
local MIN_SWEEP = 8           -- expired entries removed by each call: more than it adds, so they cannot pile up

-- Remove as many of `names` as it takes to come down to `limit`. Return how many, and their bytes.
local function remove(shard, totals, names, limit, most_bytes)
  local found = redis.call('HMGET', shard.metadata, unpack(names))
  local count, freed = 0, 0
  while count < #names and freed < most_bytes and totals.bytes - freed > limit do
    count = count + 1
    freed = freed + (found[count] and text_entry.bytes(found[count]) or 0)
  end
  if count > 0 then
    text_shard.remove(shard, totals, { unpack(names, 1, count) }, { unpack(found, 1, count) })
  end
  return count, freed
end

-- Come down to `limit` bytes. Return how many entries were removed, and their bytes; `totals` is updated.
function eviction.evict(shard, totals, limit, now)
  local removed, freed, batch = 0, 0, MIN_SWEEP
  local kind, names = 'expirations', redis.call('ZRANGEBYSCORE', shard.expiries, '-inf', now, 'LIMIT', 0, batch)
  while true do
    if kind == 'expirations' and #names < batch then
      batch = 0
    end
    if #names > 0 then
      local floor = kind == 'expirations' and -math.huge or limit
      local count, bytes = remove(shard, totals, names, floor, MAX_BYTES - freed)
      removed, freed = removed + count, freed + bytes
      totals[kind] = totals[kind] + count
    elseif kind == 'evictions' then
      break
    end
    if totals.bytes <= limit or removed >= MAX_ENTRIES or freed >= MAX_BYTES then
      break
    end
    if batch == 0 then
      kind = 'evictions'
    end
    batch = math.min(math.max(2, batch * 4), 128, MAX_ENTRIES - removed)
    if kind == 'evictions' then
      names = redis.call('ZRANGE', shard.lru, 0, batch - 1)
    else
      names = redis.call('ZRANGEBYSCORE', shard.expiries, '-inf', now, 'LIMIT', 0, batch)
    end
  end
  return removed, freed
end

return eviction
