-- record/remove: delete an entry.
--
-- Retry: deduplicated.  Work: O(fields), 3,500 at most.  allow-oom: yes.
-- Replies  {'removed'}
--          {'missing'}            no such entry
--          {'stale', newest}      a newer fencing token was seen, or this one was never granted
local entry      = KEYS[1]              -- hash: the record
local partition  = KEYS[2]              -- zset: the index
local fence      = KEYS[3]              -- hash: the last token of the lock
local companions = { unpack(KEYS, 4) }  -- keys that live as long as the record
local name       = ARGV[1]              -- in the index
local token      = ARGV[2]              -- fencing token, or ''

local record = include('lib/record')
local tokens = include('lib/tokens')
local version, _, latest = record.meta(entry)
if not version then
  return { 'missing' }
end
local newest = tokens.refuse(token, latest, fence)
if newest then
  return { 'stale', newest }
end

redis.call('DEL', entry, unpack(companions))
redis.call('ZREM', partition, name)
return { 'removed' }
