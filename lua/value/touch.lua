-- value/touch: set the time to live of a value.
--
-- Retry: deduplicated.  Work: O(1).  allow-oom: yes.
-- Replies  {'touched'}
--          {'missing'}            no such entry
local value  = KEYS[1]              -- string: the value
local values = KEYS[2]              -- zset: the index of values
local name   = ARGV[1]              -- in the index
local ttl_ms = tonumber(ARGV[2])    -- lives this long from now

local index = include('lib/index')
if redis.call('PEXPIRE', value, ttl_ms) == 0 then
  return { 'missing' }
end
index.add(values, name, math.floor(now_us / 1000), ttl_ms)
return { 'touched' }
