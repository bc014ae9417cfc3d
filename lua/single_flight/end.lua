-- single_flight/end: end a computation: free its lock, and notify its waiters.
--
-- A stream wakes all waiters at once. It is written only if a caller waits (see single_flight/lead), since it takes
-- some KB, and lives a few seconds: the longest time from a waiter's mark to its wait.
--
-- Retry: deduplicated.  Work: O(log locks).  allow-oom: yes.
-- Replies  {'told'}
--          {'lost'}               the lease was over; another caller may be computing it by now
local lock    = KEYS[1]              -- hash: owner, fence, container, since, note; lives for the lease
local leases  = KEYS[2]              -- zset: name -> end of lease, in ms
local queue   = KEYS[3]              -- zset: waiter -> time in ms until which it counts; negative: it left
local wake    = KEYS[4]              -- list: the wake-up on its way
local news    = KEYS[5]              -- stream: its last entry is the latest news
local failure = KEYS[6]              -- string: the error of a failed computation, while it is kept
local waiting = KEYS[7]              -- string: there while a caller waits
local name    = ARGV[1]              -- of the lock
local owner   = ARGV[2]
local how     = ARGV[3]              -- 'done', 'failed', or 'unkept': it succeeded, but could not be stored
local why     = ARGV[4]              -- the error; why the value is not kept
local kept_ms = tonumber(ARGV[5])    -- time to keep the error; 0: not at all

if redis.call('HGET', lock, 'owner') ~= owner then
  return { 'lost' }
end
local locks = include('lib/locks')
locks.free(lock, leases, queue, wake, name)
if how == 'failed' and kept_ms > 0 then
  redis.call('SET', failure, why, 'PX', kept_ms)
end
if redis.call('DEL', waiting) == 1 then
  redis.call('XADD', news, 'MAXLEN', 1, '*', how, why)
  redis.call('PEXPIRE', news, 10000)
end
return { 'told' }
