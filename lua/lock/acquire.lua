-- lock/acquire: hold a lock that is free, or stand in its queue.
--
-- A waiter sends BLPOP on the wake-up list and this script in one write. So its acquire lies in the
-- server already when the wake-up comes, and runs next: nothing is reserved for a waiter that may
-- be dead, and nobody polls.
--
-- Said twice: once.  Work: O(log waiters).  When full: refuses.
-- Replies  {'held', fence, now}                 the token; since when, in ms
--          {'wait', ms, now, container}         the lease of the holder; the time; who that is
--          {'left'}                             this owner has left the queue for good
local lock      = KEYS[1]              -- hash: owner, fence, container, since, note; lives for the lease
local guard     = KEYS[2]              -- hash: the last token
local queue     = KEYS[3]              -- zset: waiter -> time in ms until which it counts; negative: it left
local wake      = KEYS[4]              -- list: the wake-up on its way
local leases    = KEYS[5]              -- zset: name -> end of lease, in ms
local name      = ARGV[1]              -- of the lock
local owner     = ARGV[2]              -- random, made for this acquisition
local lease_ms  = tonumber(ARGV[3])
local queue_ms  = tonumber(ARGV[4])    -- how long to count as a waiter; 0: leave the queue
local container = ARGV[5]              -- who asks
local note      = ARGV[6]              -- free text

local locks = include('lib/locks')
local now = math.floor(now_us / 1000)
local place = tonumber(redis.call('ZSCORE', queue, owner) or nil)
local ms = redis.call('PTTL', lock)
if place and place < 0 then
  if ms == -2 then
    locks.wake(queue, wake)    -- the wake-up that ran this is somebody else's now
  end
  return { 'left' }
end
if ms == -2 then
  local fence = locks.grant(lock, guard, leases, name, owner, lease_ms, container, note)
  if place then
    redis.call('ZREM', queue, owner)
  end
  return { 'held', fence, now }
end

if queue_ms > 0 then
  redis.call('ZADD', queue, now + queue_ms, owner)
  local over = redis.call('ZRANGEBYSCORE', queue, '(-' .. now, '(' .. now, 'LIMIT', 0, 8)
  if #over > 0 then
    redis.call('ZREM', queue, unpack(over))
  end
  if redis.call('PTTL', queue) < queue_ms then
    redis.call('PEXPIRE', queue, queue_ms)
  end
elseif place then
  redis.call('ZREM', queue, owner)
end
return { 'wait', ms, now, redis.call('HGET', lock, 'container') }
