-- value/put: write an opaque value.
--
-- Said twice: once.  Work: O(bytes).  When full: refuses.
-- Replies  {'written'}
--          {'present'}            created elsewhere before
local entry     = KEYS[1]              -- string: the value
local partition = KEYS[2]              -- zset: the index
local name      = ARGV[1]              -- in the index
local ttl_ms    = tonumber(ARGV[2])    -- lives this long from now
local expected  = ARGV[3]              -- '' anything, or 'absent'
local value     = ARGV[4]

if expected == 'absent' and redis.call('EXISTS', entry) == 1 then
  return { 'present' }
end

local index = include('lib/index')
redis.call('SET', entry, value, 'PX', ttl_ms)
index.enter(partition, name, math.floor(now_us / 1000), ttl_ms)
return { 'written' }
