-- value/increment: add to a number in place.
--
-- Retry: deduplicated.  Work: O(1).  allow-oom: no.
-- Replies  {'counted', number}    the number now; as text if it is no whole number below 2^53
--          {'no_number'}          the value is something else
--          {'too_large', number}  the sum would not be exact any more
local value  = KEYS[1]              -- string: the value
local values = KEYS[2]              -- zset: the index of values
local name   = ARGV[1]              -- in the index
local ttl_ms = tonumber(ARGV[2])    -- lives this long from now, or as long as before if that is longer
local start  = ARGV[3]              -- in place of a missing value, as text
local by     = ARGV[4]              -- as text, whole or not

local there = redis.call('GET', value)
local old = there or start
if not tonumber(old) then
  return { 'no_number' }
end
local number = include('lib/number')
local sum = number.add(old, by)
if not sum then
  return { 'too_large', old }
end

local index = include('lib/index')
local lives_ms = math.max(ttl_ms, redis.call('PTTL', value))
if sum == 'whole' then
  if not there then
    redis.call('SET', value, start)
  end
  sum = redis.call('INCRBY', value, by)
  sum = number.exact(sum) and sum or redis.call('GET', value)
else
  redis.call('SET', value, sum)
end
redis.call('PEXPIRE', value, lives_ms)
index.add(values, name, math.floor(now_us / 1000), lives_ms)
return { 'counted', sum }
