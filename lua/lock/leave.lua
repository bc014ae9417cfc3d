-- lock/leave: abandon an acquisition, whether it was granted or not.
--
-- For a waiter that was cancelled while its acquire was on its way. The acquire may come after this
-- script, or may have been granted before. So the owner is marked as gone, a lock that it holds is
-- freed, and a wake-up that it has consumed is sent again.
--
-- Retry: deduplicated.  Work: O(log waiters).  allow-oom: yes.
-- Replies  {'left'}
local lock    = KEYS[1]              -- hash: owner, fence, container, since, note; lives for the lease
local queue   = KEYS[2]              -- zset: waiter -> time in ms until which it counts; negative: it left
local wake    = KEYS[3]              -- list: the wake-up on its way
local leases  = KEYS[4]              -- zset: name -> end of lease, in ms
local name    = ARGV[1]              -- of the lock
local owner   = ARGV[2]
local gone_ms = tonumber(ARGV[3])    -- time in which a late acquire of this owner may still come

local locks = include('lib/locks')
redis.call('ZADD', queue, -math.floor(now_us / 1000) - gone_ms, owner)
if redis.call('PTTL', queue) < gone_ms then
  redis.call('PEXPIRE', queue, gone_ms)
end
local holder = redis.call('HGET', lock, 'owner')
if holder == owner then
  locks.free(lock, leases, queue, wake, name)
elseif not holder then
  locks.wake(queue, wake)
end
return { 'left' }
