-- value/put: write an opaque value.
--
-- Retry: deduplicated.  Work: O(bytes).  allow-oom: no.
-- Replies  {'written'}
--          {'present'}            created elsewhere before
--          {'was', value}         created elsewhere before, with this value
local value    = KEYS[1]              -- string: the value
local values   = KEYS[2]              -- zset: the index of values
local name     = ARGV[1]              -- in the index
local ttl_ms   = tonumber(ARGV[2])    -- lives this long from now
local expected = ARGV[3]              -- '' anything, 'absent', or 'default' (absent; else reply with it)
local new      = ARGV[4]

if expected == 'absent' and redis.call('EXISTS', value) == 1 then
  return { 'present' }
end
local was = expected == 'default' and redis.call('GET', value)
if was then
  return { 'was', was }
end

local index = include('lib/index')
redis.call('SET', value, new, 'PX', ttl_ms)
index.add(values, name, math.floor(now_us / 1000), ttl_ms)
return { 'written' }
