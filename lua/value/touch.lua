-- value/touch: set the time that a value has left.
--
-- Said twice: once.  Work: O(1).  When full: runs.
-- Replies  {'touched'}
--          {'missing'}            no such entry
local entry     = KEYS[1]              -- string: the value
local partition = KEYS[2]              -- zset: the index
local name      = ARGV[1]              -- in the index
local ttl_ms    = tonumber(ARGV[2])    -- lives this long from now

local index = include('lib/index')
if redis.call('PEXPIRE', entry, ttl_ms) == 0 then
  return { 'missing' }
end
index.enter(partition, name, math.floor(now_us / 1000), ttl_ms)
return { 'touched' }
