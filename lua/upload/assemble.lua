-- upload/assemble: take the assembly of an upload that is whole.
--
-- Retry: deduplicated.  Work: O(fields), 3,500 at most.  allow-oom: no.
-- Replies  {'taken', token, now, attempt, {field, value, ...}}    the record as it was
--          {'claimed', ms, container}     held by that container, for that long
--          {'resting', ms}                it failed, and may be tried again after that long
--          {'done', result}               it is stored
--          {'exhausted', attempts, error}
--          {'unknown'}                    no such session, or its TTL ran out
--          {'anew'}                       it was begun anew since the caller saw it
--          {'closed', state}              it was aborted
--          {'incomplete', bytes, total}   total: -1 when not known yet
local entry     = KEYS[1]              -- hash: the record
local partition = KEYS[2]              -- zset: the index
local bitmap    = KEYS[3]              -- string: a bit for each finished segment, or accepted chunk
local checksums = KEYS[4]              -- hash: number -> checksum, where there is one
local lock      = KEYS[5]              -- hash: owner, fence, container, since, note; lives for the lease
local fence     = KEYS[6]              -- hash: the last token of the lock
local leases    = KEYS[7]              -- zset: name -> end of lease, in ms
local name      = ARGV[1]              -- of record and lock
local saw       = ARGV[2]              -- generation that the caller saw last, or ''
local owner     = ARGV[3]              -- random, made for this claim
local lease_ms  = tonumber(ARGV[4])
local most      = tonumber(ARGV[5])    -- attempts
local container = ARGV[6]              -- of the caller
local note      = ARGV[7]              -- free text
local fields    = { unpack(ARGV, 8) }  -- field, value, field, value, ...

local uploads = include('lib/uploads')
local generation = include('lib/generation')
local session = uploads.read(entry)
if not session then
  return { 'unknown' }
elseif generation.earlier(saw, session.generation) then
  return { 'anew' }
elseif session.closed == 'aborted' then
  return { 'closed', session.closed }
elseif not session.whole then
  return { 'incomplete', session.bytes, session.total or -1 }
end

local claim = include('lib/claim')
local keys = { entry = entry, partition = partition, companions = { bitmap, checksums }, lock = lock, fence = fence,
  leases = leases }
local request = { owner = owner, lease_ms = lease_ms, ttl_ms = session.ttl_ms, most = most, container = container,
  note = note }
local reply = claim.take(keys, name, request, fields)
if reply[1] == 'taken' and lease_ms > session.ttl_ms then
  redis.call('HSETNX', entry, '@lives', session.ttl_ms)    -- again, once it has ended
end
return reply
