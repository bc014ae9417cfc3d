-- lock/inspect: the holder of a lock, and the number of its waiters.
--
-- Retry: no-writes.  Work: O(log waiters).  allow-oom: yes.
-- Replies  {'held', ms, waiters, owner, fence, container, since, note}    ms: what is left of the lease
--          {'free', waiters}
local lock  = KEYS[1]              -- hash: owner, fence, container, since, note; lives for the lease
local queue = KEYS[2]              -- zset: waiter -> time in ms until which it counts; negative: it left

local clock = include('lib/clock')
local waiters = redis.call('ZCOUNT', queue, clock.ms(), '+inf')
local ms = redis.call('PTTL', lock)
if ms == -2 then
  return { 'free', waiters }
end
return { 'held', ms, waiters, unpack(redis.call('HMGET', lock, 'owner', 'fence', 'container', 'since', 'note')) }
