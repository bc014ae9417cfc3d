-- claim/take: take work that must run once: hold its lock, and create or re-open its record.
--
-- Said twice: once.  Work: O(fields), 3,500 at most.  When full: refuses.
-- Replies  {'taken', fence, now, attempt, {field, value, ...}}    the record as it was; empty: there was none
--          {'claimed', ms, container}     held by somebody, for that long
--          {'resting', ms}                it failed, and may be tried again after that long
--          {'done', result}
--          {'exhausted', attempts, error}
local entry     = KEYS[1]              -- hash: the record
local partition = KEYS[2]              -- zset: the index
local lock      = KEYS[3]              -- hash: owner, fence, container, since, note; lives for the lease
local guard     = KEYS[4]              -- hash: the last token
local leases    = KEYS[5]              -- zset: name -> end of lease, in ms
local name      = ARGV[1]              -- of record and lock
local owner     = ARGV[2]              -- random, made for this claim
local lease_ms  = tonumber(ARGV[3])
local ttl_ms    = tonumber(ARGV[4])    -- the record lives this long after each write
local most      = tonumber(ARGV[5])    -- attempts
local container = ARGV[6]              -- who asks
local note      = ARGV[7]              -- free text
local fields    = { unpack(ARGV, 8) }  -- field, value, field, value, ...

local taking = include('lib/taking')
local terms = { owner = owner, lease_ms = lease_ms, ttl_ms = ttl_ms, most = most, container = container, note = note }
return taking.take(entry, partition, lock, guard, leases, {}, name, terms, fields)
