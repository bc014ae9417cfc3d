-- record/remove: delete an entry.
--
-- Said twice: once.  Work: O(fields), 3,500 at most.  When full: runs.
-- Replies  {'removed'}
--          {'missing'}            no such entry
--          {'stale', newest}      a newer fencing token was seen
local entry      = KEYS[1]              -- hash: the record
local partition  = KEYS[2]              -- zset: the index
local guard      = KEYS[3]              -- hash: the last token of the lock in question
local companions = { unpack(KEYS, 4) }  -- what lives and dies with the record
local name       = ARGV[1]              -- in the index
local token      = ARGV[2]              -- fencing token, or ''

local record = include('lib/record')
local version, _, fence = record.meta(entry)
if not version then
  return { 'missing' }
end
local newest = record.newer(token, fence, guard)
if newest then
  return { 'stale', newest }
end

redis.call('DEL', entry, unpack(companions))
redis.call('ZREM', partition, name)
return { 'removed' }
