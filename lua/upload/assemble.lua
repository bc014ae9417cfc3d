-- upload/assemble: take the assembly of an upload that is whole.
--
-- Said twice: once.  Work: O(fields), 3,500 at most.  When full: refuses.
-- Replies  {'taken', fence, now, attempt, {field, value, ...}}    the record as it was
--          {'claimed', ms, container}     held by somebody, for that long
--          {'resting', ms}                it failed, and may be tried again after that long
--          {'done', result}               it is stored
--          {'exhausted', attempts, error}
--          {'unknown'}                    no such session, or its TTL ran out
--          {'closed', state}              it was aborted
--          {'incomplete', bytes, total}   total: -1 when not known yet
local entry     = KEYS[1]              -- hash: the record
local partition = KEYS[2]              -- zset: the index
local seen      = KEYS[3]              -- bitmap of accepted chunks
local sums      = KEYS[4]              -- hash: number -> checksum, where there is one
local lock      = KEYS[5]              -- hash: owner, fence, container, since, note; lives for the lease
local guard     = KEYS[6]              -- hash: the last token
local leases    = KEYS[7]              -- zset: name -> end of lease, in ms
local name      = ARGV[1]              -- of record and lock
local owner     = ARGV[2]              -- random, made for this claim
local lease_ms  = tonumber(ARGV[3])
local most      = tonumber(ARGV[4])    -- attempts
local container = ARGV[5]              -- who asks
local note      = ARGV[6]              -- free text
local fields    = { unpack(ARGV, 7) }  -- field, value, field, value, ...

local uploads = include('lib/uploads')
local session = uploads.read(entry)
if not session then
  return { 'unknown' }
elseif session.closed == 'aborted' then
  return { 'closed', session.closed }
elseif not session.whole then
  return { 'incomplete', session.bytes, session.total or -1 }
end

local taking = include('lib/taking')
local terms = { owner = owner, lease_ms = lease_ms, ttl_ms = session.ttl_ms, most = most,
  container = container, note = note }
return taking.take(entry, partition, lock, guard, leases, { seen, sums }, name, terms, fields)
