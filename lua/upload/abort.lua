-- upload/abort: abort an upload, and release its quota.
--
-- A holder that is assembling it is treated like one whose lock was taken over: its lease is over and its token
-- is old. The record stays for its time to live, so that late chunks are refused as aborted.
--
-- Retry: deduplicated.  Work: O(log uploads).  allow-oom: yes.
-- Replies  {'aborted'}
--          {'nothing'}            no such session, stored, aborted before, or begun anew since the caller saw it
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
local saw       = ARGV[2]              -- generation that the caller saw last, or ''
local container = ARGV[3]              -- of the caller

local uploads = include('lib/uploads')
local generation = include('lib/generation')
local session = uploads.read(entry)
if not session or session.closed or generation.earlier(saw, session.generation) then
  return { 'nothing' }
end

local record = include('lib/record')
local locks = include('lib/locks')
local now = math.floor(now_us / 1000)
if redis.call('EXISTS', lock) == 1 then
  locks.grant(lock, fence, leases, name, 'abort', 1, container, 'aborted')
  locks.free(lock, leases, queue, wake, name)
end
redis.call('HSET', entry, '@closed', 'aborted', 'status', '"aborted"',
  '@version', record.next(session.version), '@updated', now)
redis.call('DEL', bitmap, checksums)
local quota_keys = { open = open, reserved = reserved, accounts = accounts, dead = dead, snapshots = snapshots }
local dead_letter = include('lib/dead_letter')
dead_letter.add(quota_keys, name, now)
record.renew(entry, partition, name, session.ttl_ms, now, {})
local quota = include('lib/quota')
quota.renew(quota_keys, session.ttl_ms)
return { 'aborted' }
