-- upload/settle: write the outcome of an assembly: stored, failed, or released to be tried again at once.
--
-- A stored upload needs no chunks any more, and is no loss when it expires. One that was aborted, or has
-- expired, meanwhile is not brought back.
--
-- Retry: deduplicated.  Work: O(fields).  allow-oom: yes.
-- Replies  {'settled'}
--          {'stale', newest}      another holder has taken it since
--          {'closed', state}      it was aborted
--          {'done', result}       it was stored before
--          {'unknown'}            no such session any more; one that was opened again is another
local entry     = KEYS[1]              -- hash: the record
local partition = KEYS[2]              -- zset: the index
local bitmap    = KEYS[3]              -- string: a bit for each finished segment, or accepted chunk
local checksums = KEYS[4]              -- hash: number -> checksum, where there is one
local open      = KEYS[5]              -- zset: name -> when it may be dead, in ms
local reserved  = KEYS[6]              -- hash: name -> bytes reserved and owner
local accounts  = KEYS[7]              -- hash: the counts of each owner
local dead      = KEYS[8]              -- zset: name -> when it died, in ms
local snapshots = KEYS[9]              -- hash: name -> the fields it was opened with
local lock      = KEYS[10]             -- hash: owner, fence, container, since, note; lives for the lease
local fence     = KEYS[11]             -- hash: the last token of the lock
local leases    = KEYS[12]             -- zset: name -> end of lease, in ms
local queue     = KEYS[13]             -- zset: waiter -> time in ms until which it counts; negative: it left
local wake      = KEYS[14]             -- list: the wake-up on its way
local name      = ARGV[1]              -- of record and lock
local owner     = ARGV[2]              -- of the lock
local token     = ARGV[3]              -- the claim's; '': the one that the owner holds
local state     = ARGV[4]              -- 'done', 'failed' or 'released'
local rest_ms   = tonumber(ARGV[5])    -- failed: until it may be tried again
local fields    = { unpack(ARGV, 6) }  -- field, value, field, value, ...

local uploads = include('lib/uploads')
local session = uploads.read(entry)
if not session or not redis.call('HGET', entry, '@claim') then
  return { 'unknown' }
elseif session.closed == 'aborted' then
  return { 'closed', session.closed }
end
local keys = { entry = entry, partition = partition, companions = { bitmap, checksums }, lock = lock, fence = fence,
  leases = leases, queue = queue, wake = wake }
local claim_end = include('lib/claim_end')
local ttl_ms = tonumber(redis.call('HGET', entry, '@lives') or session.ttl_ms)
local refusal = claim_end.settle(keys, name, owner, token, ttl_ms, state, rest_ms, fields)
if refusal then
  return refusal
end
redis.call('HDEL', entry, '@lives')
if state == 'done' then
  local quota_keys = { open = open, reserved = reserved, accounts = accounts, dead = dead, snapshots = snapshots }
  local dead_letter = include('lib/dead_letter')
  dead_letter.forget(quota_keys, name)
  redis.call('DEL', bitmap, checksums)
end
return { 'settled' }
