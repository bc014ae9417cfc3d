-- upload/overwrite: write an upload as old code does, whole or some fields, and lose no chunk that has arrived.
--
-- Old code reads a dict, changes it, and puts it back. Counts made here in between stay: see lib/legacy.
--
-- Retry: deduplicated.  Work: O(fields), 3,500 at most.  allow-oom: no.
-- Replies  {'written', version}
--          {'missing'}            some fields, and no such upload
--          {'changed'}            the version is not the expected one any more
--          {'stale', newest}      a newer fencing token was seen, or this one was never granted
local entry     = KEYS[1]              -- hash: the record
local partition = KEYS[2]              -- zset: the index
local fence     = KEYS[3]              -- hash: the last token of the lock
local bitmap    = KEYS[4]              -- string: a bit for each finished segment, or accepted chunk
local checksums = KEYS[5]              -- hash: number -> checksum, where there is one
local open      = KEYS[6]              -- zset: name -> when it may be dead, in ms
local reserved  = KEYS[7]              -- hash: name -> bytes reserved and owner
local accounts  = KEYS[8]              -- hash: the counts of each owner
local snapshots = KEYS[9]              -- hash: name -> the fields it was opened with
local name      = ARGV[1]              -- in the index
local ttl_ms    = tonumber(ARGV[2])    -- lives this long after each write; 0: as before
local owner     = ARGV[3]              -- container that creates it
local token     = ARGV[4]              -- fencing token, or ''
local expected  = ARGV[5]              -- '' anything, 'present', or a version
local whole     = ARGV[6]              -- '1': fields that are not given are deleted
local fields    = { unpack(ARGV, 7) }  -- field, value, field, value, ...

local record = include('lib/record')
local tokens = include('lib/tokens')
local uploads = include('lib/uploads')
local legacy = include('lib/legacy')
local session = uploads.read(entry)
local newest = tokens.refuse(token, redis.call('HGET', entry, '@fence'), fence)
if newest then
  return { 'stale', newest }
elseif expected == 'present' and not session then
  return { 'missing' }
elseif expected ~= '' and expected ~= 'present' and expected ~= (session and session.version) then
  return { 'changed' }
end
local now, version = math.floor(now_us / 1000), record.next(session and session.version, now_us)
local lives_ms = ttl_ms > 0 and ttl_ms or session.ttl_ms
redis.call('HSET', entry, '@version', version, '@ttl', lives_ms, '@updated', now)
redis.call('HSETNX', entry, '@created', now)
redis.call('HSETNX', entry, '@owner', owner)
for _, field in ipairs(whole == '1' and redis.call('HKEYS', entry) or {}) do
  if not string.find(field, '^@[^@]') and not legacy.protects(session, bitmap, field) then
    redis.call('HDEL', entry, field)
  end
end
for place = 1, #fields, 2 do
  if not legacy.protects(session, bitmap, fields[place]) then
    redis.call('HSET', entry, fields[place], fields[place + 1])
  end
end
if token ~= '' then
  redis.call('HSET', entry, '@fence', token)
end
record.renew(entry, partition, name, lives_ms, now, { bitmap, checksums })
legacy.complete(session, entry, { open = open, reserved = reserved, accounts = accounts, snapshots = snapshots }, name)
return { 'written', version }
