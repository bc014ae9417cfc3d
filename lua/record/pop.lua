-- record/pop: delete an entry, and return its fields.
--
-- Retry: deduplicated.  Work: O(fields), 3,500 at most.  allow-oom: yes.
-- Replies  {'popped', {field, value, ...}}
--          {'missing'}            no such entry
local entry      = KEYS[1]              -- hash: the record
local partition  = KEYS[2]              -- zset: the index
local companions = { unpack(KEYS, 3) }  -- keys that live as long as the record
local name       = ARGV[1]              -- in the index

local fields = redis.call('HGETALL', entry)
if #fields == 0 then
  return { 'missing' }
end

redis.call('DEL', entry, unpack(companions))
redis.call('ZREM', partition, name)
return { 'popped', fields }
