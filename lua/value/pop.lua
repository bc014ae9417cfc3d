-- value/pop: delete a value, and return it.
--
-- Retry: deduplicated.  Work: O(bytes).  allow-oom: yes.
-- Replies  {'popped', value}
--          {'missing'}            no such entry
local value  = KEYS[1]              -- string: the value
local values = KEYS[2]              -- zset: the index of values
local name   = ARGV[1]              -- in the index

local was = redis.call('GET', value)
if not was then
  return { 'missing' }
end

redis.call('DEL', value)
redis.call('ZREM', values, name)
return { 'popped', was }
