-- claim/take: take work that must run once: grant its lock, and create or reopen its record.
--
-- Retry: deduplicated.  Work: O(fields), 3,500 at most.  allow-oom: no.
-- Replies  {'taken', token, now, attempt, {field, value, ...}}    the record as it was; empty: there was none
--          {'claimed', ms, container}     held by another taker, for that long
--          {'resting', ms}                it failed, and may be tried again after that long
--          {'done', result}
--          {'exhausted', attempts, error}
local entry     = KEYS[1]              -- hash: the record
local partition = KEYS[2]              -- zset: the index
local lock      = KEYS[3]              -- hash: owner, fence, container, since, note; lives for the lease
local fence     = KEYS[4]              -- hash: the last token of the lock
local leases    = KEYS[5]              -- zset: name -> end of lease, in ms
local name      = ARGV[1]              -- of record and lock
local owner     = ARGV[2]              -- random, made for this claim
local lease_ms  = tonumber(ARGV[3])
local ttl_ms    = tonumber(ARGV[4])    -- the record lives this long after each write
local most      = tonumber(ARGV[5])    -- attempts
local container = ARGV[6]              -- of the caller
local note      = ARGV[7]              -- free text
local fields    = { unpack(ARGV, 8) }  -- field, value, field, value, ...

local claim = include('lib/claim')
local keys = { entry = entry, partition = partition, companions = {}, lock = lock, fence = fence, leases = leases }
local request = { owner = owner, lease_ms = lease_ms, ttl_ms = ttl_ms, most = most, container = container, note = note }
return claim.take(keys, name, request, fields)
