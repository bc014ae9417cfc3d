-- lib/room: make room in a shard of the text cache: what is expired goes first, then what was used least recently.
--
-- Victims are looked at in batches that grow, since most calls need one and some need thousands, and
-- removed together, at a quarter of the cost of one by one. A call removes so much and no more, so
-- that others are served in between; the caller asks again.
local facts = include('lib/facts')
local lru = include('lib/lru')
local room = {}

local MOST = 128               -- entries
local MOST_BYTES = 16777216    -- memory in large pieces takes its time to give back
local ALWAYS = 8               -- expired entries that any call removes: more than it adds, so they cannot pile up

-- Remove as many of `names` as it takes to come down to `limit`. Return how many, and their bytes.
local function take(shard, totals, names, limit, most_bytes)
  local found = redis.call('HMGET', shard.facts, unpack(names))
  local count, freed = 0, 0
  while count < #names and freed < most_bytes and totals.bytes - freed > limit do
    count = count + 1
    freed = freed + (found[count] and facts.stored(found[count]) or 0)
  end
  if count > 0 then
    lru.remove(shard, totals, { unpack(names, 1, count) }, { unpack(found, 1, count) })
  end
  return count, freed
end

-- Come down to `limit` bytes. Return how many entries were removed, and their bytes; the totals tell the rest.
function room.make(shard, totals, limit, now)
  local removed, freed, batch = 0, 0, ALWAYS
  local kind, names = 'expirations', redis.call('ZRANGEBYSCORE', shard.ends, '-inf', now, 'LIMIT', 0, batch)
  while true do
    if kind == 'expirations' and #names < batch then
      batch = 0
    end
    if #names > 0 then
      local floor = kind == 'expirations' and -math.huge or limit
      local count, bytes = take(shard, totals, names, floor, MOST_BYTES - freed)
      removed, freed = removed + count, freed + bytes
      totals[kind] = totals[kind] + count
    elseif kind == 'evictions' then
      break
    end
    if totals.bytes <= limit or removed >= MOST or freed >= MOST_BYTES then
      break
    end
    if batch == 0 then
      kind = 'evictions'
    end
    batch = math.min(math.max(2, batch * 4), 128, MOST - removed)
    if kind == 'evictions' then
      names = redis.call('ZRANGE', shard.uses, 0, batch - 1)
    else
      names = redis.call('ZRANGEBYSCORE', shard.ends, '-inf', now, 'LIMIT', 0, batch)
    end
  end
  return removed, freed
end

return room
