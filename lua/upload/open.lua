-- upload/open: begin a session, if its owner may have one more.
--
-- Retry: deduplicated.  Work: O(fields), 3,500 at most.  allow-oom: no.
-- Replies  {'opened', generation}
--          {'present', generation}                 there is one of this name
--          {'quota', owner, what, used, limit}     too many open uploads, dead uploads or bytes of the owner
local entry        = KEYS[1]              -- hash: the record
local partition    = KEYS[2]              -- zset: the index
local open         = KEYS[3]              -- zset: name -> when it may be dead, in ms
local reserved     = KEYS[4]              -- hash: name -> bytes reserved and owner
local accounts     = KEYS[5]              -- hash: the counts of each owner
local dead         = KEYS[6]              -- zset: name -> when it died, in ms
local snapshots    = KEYS[7]              -- hash: name -> the fields it was opened with
local companions   = { unpack(KEYS, 8) }  -- keys that live as long as the record
local name         = ARGV[1]              -- in the index
local ttl_ms       = tonumber(ARGV[2])    -- lives this long after each write
local container    = ARGV[3]              -- of the caller
local owner        = ARGV[4]              -- of the quota
local bytes        = tonumber(ARGV[5])    -- to reserve; -1: it needs nothing
local most_uploads = tonumber(ARGV[6])    -- of this owner; -1: no limit
local most_bytes   = tonumber(ARGV[7])    -- of this owner; -1: no limit
local snapshot     = ARGV[8]
local fields       = { unpack(ARGV, 9) }  -- field, value, field, value, ...

if redis.call('EXISTS', entry) == 1 then
  return { 'present', redis.call('HGET', entry, '@generation') or '' }
end
local quota = include('lib/quota')
local account = include('lib/account')
local DEAD_PER_UPLOAD = 20    -- dead uploads of an owner for each that it may have open: their snapshots take memory
local quota_keys = { open = open, reserved = reserved, accounts = accounts, dead = dead, snapshots = snapshots }
local exceeded = account.exceeded(quota_keys, owner, 'd:', 'dead uploads', 0, 1, DEAD_PER_UPLOAD * most_uploads)
  or bytes >= 0 and account.exceeded(quota_keys, owner, 'n:', 'open uploads', 0, 1, most_uploads)
  or bytes >= 0 and account.exceeded(quota_keys, owner, 'b:', 'bytes', 0, bytes, most_bytes)
if exceeded then
  return exceeded
end

local record = include('lib/record')
local dead_letter = include('lib/dead_letter')
local now = math.floor(now_us / 1000)
redis.call('HSET', entry, '@version', now_us, '@generation', now_us, '@ttl', ttl_ms, '@owner', container,
  '@created', now, '@updated', now, unpack(fields))
redis.call('DEL', unpack(companions))
dead_letter.forget(quota_keys, name)
redis.call('HSET', snapshots, name, snapshot)
quota.reserve(quota_keys, name, owner, bytes >= 0 and bytes or nil)
redis.call('ZADD', open, now + ttl_ms, name)
record.renew(entry, partition, name, ttl_ms, now, {})
dead_letter.sweep(quota_keys, partition, now, 8)
quota.renew(quota_keys, ttl_ms)
return { 'opened', now_us }
