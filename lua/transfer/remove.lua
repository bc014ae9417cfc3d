-- transfer/remove: delete a transfer with all that is known of it, give back what it reserved, and say what it held.
--
-- Said twice: once.  Work: O(fields), 3,500 at most.  When full: runs.
-- Replies  {'removed', {field, value, ...}}
--          {'missing'}            no such transfer
--          {'stale', newest}      a newer fencing token was seen
local entry      = KEYS[1]              -- hash: the record
local partition  = KEYS[2]              -- zset: the index
local guard      = KEYS[3]              -- hash: the last token of the lock in question
local open       = KEYS[4]              -- zset: name -> when it may be dead, in ms
local facts      = KEYS[5]              -- hash: name -> bytes reserved and owner
local accounts   = KEYS[6]              -- hash: what is counted for each owner
local dead       = KEYS[7]              -- zset: name -> when it died, in ms
local memos      = KEYS[8]              -- hash: name -> what it was opened with
local companions = { unpack(KEYS, 9) }  -- what lives and dies with the record
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

local fields = redis.call('HGETALL', entry)
redis.call('DEL', entry, unpack(companions))
redis.call('ZREM', partition, name)
local books = { open = open, facts = facts, accounts = accounts, dead = dead, memos = memos }
local burial = include('lib/burial')
burial.forget(books, name)
return { 'removed', fields }
