-- lib/index: the entries of a partition, and their expiry.
--
-- One zset for each partition, name -> expiry in ms, so that length is a count and iteration a
-- scan, without a SCAN over the keys of all other namespaces. Redis removes expired entries by itself
-- and says nothing; so reads count only entries that are not expired, and writes drop a few that are.
local index = {}

local SWEEP_COUNT = 8    -- names dropped at a time: more than a write adds, so the backlog shrinks

-- Add a name, or move its expiry. updated: when the entry was last written with the same TTL.
-- The first write of an entry in each quarter of its TTL renews the index, which then outlives the entry until
-- the next quarter.
function index.add(key, name, now, ttl_ms, updated)
  local added = redis.call('ZADD', key, now + ttl_ms, name)
  local quarter = ttl_ms / 4
  if added == 0 and updated and math.floor(updated / quarter) == math.floor(now / quarter) then
    return
  end
  local expired = redis.call('ZRANGEBYSCORE', key, '-inf', '(' .. now, 'LIMIT', 0, SWEEP_COUNT)
  if #expired > 0 then
    redis.call('ZREM', key, unpack(expired))
  end
  if redis.call('PTTL', key) < 1.5 * ttl_ms then
    redis.call('PEXPIRE', key, 3 * ttl_ms)
  end
end

return index
