-- lib/index: which entries a partition has, and until when.
--
-- One zset for each partition, name -> expiry in ms, so that length is a count and iteration a
-- scan, without a SCAN over the keys of everybody else. Redis removes expired entries by itself
-- and says nothing; so readers count only what is not over, and each write drops a few that are.
local index = {}

local SWEPT = 8    -- names dropped by one write: more than it adds, so the backlog shrinks

-- Enter a name, or move its expiry. The index lives at least as long as the entry.
function index.enter(key, name, now, ttl_ms)
  redis.call('ZADD', key, now + ttl_ms, name)
  local over = redis.call('ZRANGEBYSCORE', key, '-inf', '(' .. now, 'LIMIT', 0, SWEPT)
  if #over > 0 then
    redis.call('ZREM', key, unpack(over))
  end
  if redis.call('PTTL', key) < ttl_ms then
    redis.call('PEXPIRE', key, 2 * ttl_ms)    -- twice, so that most writes need not renew it
  end
end

return index
