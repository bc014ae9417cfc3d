-- lib/index: which entries a partition has, and until when.
--
-- One zset for each partition, name -> expiry in ms, so that length is a count and iteration a
-- scan, without a SCAN over the keys of everybody else. Redis removes expired entries by itself
-- and says nothing; so readers count only what is not over, and writes drop a few that are.
local index = {}

local SWEPT = 8    -- names dropped at a time: more than a write adds, so the backlog shrinks

-- Enter a name, or move its expiry. updated: when the entry was last written with the same TTL.
-- The first write of an entry in each quarter of its TTL looks after the index: the index then
-- outlives what the entry can get until the next one.
function index.enter(key, name, now, ttl_ms, updated)
  local added = redis.call('ZADD', key, now + ttl_ms, name)
  local quarter = ttl_ms / 4
  if added == 0 and updated and math.floor(updated / quarter) == math.floor(now / quarter) then
    return
  end
  local over = redis.call('ZRANGEBYSCORE', key, '-inf', '(' .. now, 'LIMIT', 0, SWEPT)
  if #over > 0 then
    redis.call('ZREM', key, unpack(over))
  end
  if redis.call('PTTL', key) < 1.5 * ttl_ms then
    redis.call('PEXPIRE', key, 3 * ttl_ms)
  end
end

return index
