-- value/remove: delete a value.
--
-- Retry: deduplicated.  Work: O(1).  allow-oom: yes.
-- Replies  {'removed'}
--          {'missing'}            no such entry
local value  = KEYS[1]              -- string: the value
local values = KEYS[2]              -- zset: the index of values
local name   = ARGV[1]              -- in the index

redis.call('ZREM', values, name)
if redis.call('DEL', value) == 0 then
  return { 'missing' }
end
return { 'removed' }
