-- value/pop: delete a value, and say what it was.
--
-- Said twice: once.  Work: O(bytes).  When full: runs.
-- Replies  {'popped', value}
--          {'missing'}            no such entry
local entry     = KEYS[1]              -- string: the value
local partition = KEYS[2]              -- zset: the index
local name      = ARGV[1]              -- in the index

local value = redis.call('GET', entry)
if not value then
  return { 'missing' }
end

redis.call('DEL', entry)
redis.call('ZREM', partition, name)
return { 'popped', value }
