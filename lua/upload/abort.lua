-- upload/abort: give an upload up, and what it reserved back.
--
-- Whoever assembles it right now is treated like a holder whose lock was taken over: its lease is over
-- and its token is old. The record stays for its time, so that late chunks are told.
--
-- Said twice: once.  Work: O(log uploads).  When full: runs.
-- Replies  {'aborted'}
--          {'nothing'}            no such session, stored, or aborted before
local entry     = KEYS[1]              -- hash: the record
local partition = KEYS[2]              -- zset: the index
local seen      = KEYS[3]              -- bitmap of accepted chunks
local sums      = KEYS[4]              -- hash: number -> checksum, where there is one
local open      = KEYS[5]              -- zset: name -> when it may be dead, in ms
local facts     = KEYS[6]              -- hash: name -> bytes reserved and owner
local accounts  = KEYS[7]              -- hash: what is counted for each owner
local dead      = KEYS[8]              -- zset: name -> when it died, in ms
local memos     = KEYS[9]              -- hash: name -> what it was opened with
local lock      = KEYS[10]             -- hash: owner, fence, container, since, note; lives for the lease
local guard     = KEYS[11]             -- hash: the last token
local leases    = KEYS[12]             -- zset: name -> end of lease, in ms
local queue     = KEYS[13]             -- zset: waiter -> time in ms until which it counts
local wake      = KEYS[14]             -- list: the wake-up on its way
local name      = ARGV[1]              -- of record and lock
local container = ARGV[2]              -- who aborts it

local uploads = include('lib/uploads')
local session = uploads.read(entry)
if not session or session.closed then
  return { 'nothing' }
end

local record = include('lib/record')
local locks = include('lib/locks')
local now = math.floor(now_us / 1000)
if redis.call('EXISTS', lock) == 1 then
  locks.grant(lock, guard, leases, name, 'abort', 1, container, 'aborted')
  locks.free(lock, leases, queue, wake, name)
end
redis.call('HSET', entry, '@closed', 'aborted', 'status', '"aborted"',
  '@version', record.next(session.version), '@updated', now)
redis.call('DEL', seen, sums)
local books = { open = open, facts = facts, accounts = accounts, dead = dead, memos = memos }
local burial = include('lib/burial')
burial.bury(books, name, now)
record.keep(entry, partition, name, session.ttl_ms, now, {})
local ledger = include('lib/ledger')
ledger.keep(books, session.ttl_ms)
return { 'aborted' }
