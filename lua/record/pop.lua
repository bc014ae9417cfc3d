-- record/pop: delete an entry, and say what it held.
--
-- Said twice: once.  Work: O(fields), 3,500 at most.  When full: runs.
-- Replies  {'popped', {field, value, ...}}
--          {'missing'}            no such entry
local entry      = KEYS[1]              -- hash: the record
local partition  = KEYS[2]              -- zset: the index
local companions = { unpack(KEYS, 3) }  -- what lives and dies with the record
local name       = ARGV[1]              -- in the index

local fields = redis.call('HGETALL', entry)
if #fields == 0 then
  return { 'missing' }
end

redis.call('DEL', entry, unpack(companions))
redis.call('ZREM', partition, name)
return { 'popped', fields }
