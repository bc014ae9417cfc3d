-- value/remove: delete a value.
--
-- Said twice: once.  Work: O(1).  When full: runs.
-- Replies  {'removed'}
--          {'missing'}            no such entry
local entry     = KEYS[1]              -- string: the value
local partition = KEYS[2]              -- zset: the index
local name      = ARGV[1]              -- in the index

redis.call('ZREM', partition, name)
if redis.call('DEL', entry) == 0 then
  return { 'missing' }
end
return { 'removed' }
