-- value/swap: write a value if the one that was read is still there.
--
-- Its bytes are compared: an equal value is the same one, whichever caller wrote it.
--
-- Retry: deduplicated.  Work: O(bytes).  allow-oom: no.
-- Replies  {'written'}
--          {'changed'}            another value is there, or none
local value    = KEYS[1]              -- string: the value
local values   = KEYS[2]              -- zset: the index of values
local name     = ARGV[1]              -- in the index
local ttl_ms   = tonumber(ARGV[2])    -- lives this long from now, or as long as before if that is longer
local expected = ARGV[3]              -- the bytes that were read
local new      = ARGV[4]

if redis.call('GET', value) ~= expected then
  return { 'changed' }
end

local index = include('lib/index')
local lives_ms = math.max(ttl_ms, redis.call('PTTL', value))
redis.call('SET', value, new, 'PX', lives_ms)
index.add(values, name, math.floor(now_us / 1000), lives_ms)
return { 'written' }
