-- upload/add: add to a field of an upload, for old code that counts by itself; counts made here stay.
--
-- Retry: deduplicated.  Work: O(1).  allow-oom: no.
-- Replies  {'counted', number}    the number now, as text
--          {'missing'}            no such upload
--          {'unset'}              it has no such field
--          {'no_number', value}   the field holds something else
local entry     = KEYS[1]              -- hash: the record
local partition = KEYS[2]              -- zset: the index
local bitmap    = KEYS[3]              -- string: a bit for each finished segment, or accepted chunk
local checksums = KEYS[4]              -- hash: number -> checksum, where there is one
local open      = KEYS[5]              -- zset: name -> when it may be dead, in ms
local reserved  = KEYS[6]              -- hash: name -> bytes reserved and owner
local accounts  = KEYS[7]              -- hash: the counts of each owner
local snapshots = KEYS[8]              -- hash: name -> the fields it was opened with
local name      = ARGV[1]              -- in the index
local ttl_ms    = tonumber(ARGV[2])    -- of an upload that is created here
local owner     = ARGV[3]              -- of an upload that is created here
local field     = ARGV[4]
local by        = ARGV[5]              -- as text
local create    = ARGV[6]              -- '1': create a missing entry or field, at 0

local uploads = include('lib/uploads')
local legacy = include('lib/legacy')
local session, old = uploads.read(entry), redis.call('HGET', entry, field)
if create ~= '1' and not session then
  return { 'missing' }
elseif create ~= '1' and not old then
  return { 'unset' }
elseif not tonumber(old or 0) then
  return { 'no_number', old }
elseif legacy.protects(session, bitmap, field) then
  return { 'counted', old or '0' }
end

local record = include('lib/record')
local now, lives_ms = math.floor(now_us / 1000), session and session.ttl_ms or ttl_ms
redis.call('HSET', entry, '@version', record.next(session and session.version, now_us), '@ttl', lives_ms,
  '@updated', now, field, string.format('%.17g', tonumber(old or 0) + tonumber(by)))
redis.call('HSETNX', entry, '@created', now)
redis.call('HSETNX', entry, '@owner', owner)
record.renew(entry, partition, name, lives_ms, now, { bitmap, checksums }, session and session.updated)
local quota_keys = { open = open, reserved = reserved, accounts = accounts, snapshots = snapshots }
legacy.complete(session, entry, quota_keys, name)
return { 'counted', redis.call('HGET', entry, field) }
