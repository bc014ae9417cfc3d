-- transfer/remove: delete a transfer with its companions, release its quota, and return its fields.
--
-- Retry: deduplicated.  Work: O(fields), 3,500 at most.  allow-oom: yes.
-- Replies  {'removed', {field, value, ...}}
--          {'missing'}            no such transfer
--          {'stale', newest}      a newer fencing token was seen, or this one was never granted
local entry      = KEYS[1]              -- hash: the record
local partition  = KEYS[2]              -- zset: the index
local fence      = KEYS[3]              -- hash: the last token of the lock
local open       = KEYS[4]              -- zset: name -> when it may be dead, in ms
local reserved   = KEYS[5]              -- hash: name -> bytes reserved and owner
local accounts   = KEYS[6]              -- hash: the counts of each owner
local dead       = KEYS[7]              -- zset: name -> when it died, in ms
local snapshots  = KEYS[8]              -- hash: name -> the fields it was opened with
local companions = { unpack(KEYS, 9) }  -- keys that live as long as the record
local name       = ARGV[1]              -- in the index
local token      = ARGV[2]              -- fencing token, or ''

local record = include('lib/record')
local tokens = include('lib/tokens')
local version, _, latest = record.meta(entry)
local quota_keys = { open = open, reserved = reserved, accounts = accounts, dead = dead, snapshots = snapshots }
local dead_letter = include('lib/dead_letter')
if not version then
  dead_letter.forget(quota_keys, name)    -- also of one that has died
  return { 'missing' }
end
local newest = tokens.refuse(token, latest, fence)
if newest then
  return { 'stale', newest }
end

local fields = redis.call('HGETALL', entry)
redis.call('DEL', entry, unpack(companions))
redis.call('ZREM', partition, name)
dead_letter.forget(quota_keys, name)
return { 'removed', fields }
