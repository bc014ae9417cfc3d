-- lock/release: free a lock, and wake the waiter that has waited longest.
--
-- Retry: deduplicated.  Work: O(log waiters).  allow-oom: yes.
-- Replies  {'released'}
--          {'lost'}               the lease was over; another owner may hold the lock
local lock   = KEYS[1]              -- hash: owner, fence, container, since, note; lives for the lease
local queue  = KEYS[2]              -- zset: waiter -> time in ms until which it counts; negative: it left
local wake   = KEYS[3]              -- list: the wake-up on its way
local leases = KEYS[4]              -- zset: name -> end of lease, in ms
local name   = ARGV[1]              -- of the lock
local owner  = ARGV[2]

if redis.call('HGET', lock, 'owner') ~= owner then
  return { 'lost' }
end

local locks = include('lib/locks')
locks.free(lock, leases, queue, wake, name)
return { 'released' }
