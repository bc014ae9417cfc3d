-- lock/acquire: take a lock that is free, or join its queue.
--
-- A waiter sends BLPOP on the wake-up list and this script in one write. So the server already has its
-- acquire when the wake-up comes, and runs it next: nothing is reserved for a waiter that may be dead, and
-- no waiter polls.
--
-- Retry: deduplicated.  Work: O(log waiters).  allow-oom: no.
-- Replies  {'held', token, now}                 the token; the time in ms
--          {'wait', ms, now, container, owner, note, since}    what is left of the lease; the time; the holder
--          {'left'}                             this owner has left the queue for good
local lock      = KEYS[1]              -- hash: owner, fence, container, since, note; lives for the lease
local fence     = KEYS[2]              -- hash: the last token of the lock
local queue     = KEYS[3]              -- zset: waiter -> time in ms until which it counts; negative: it left
local wake      = KEYS[4]              -- list: the wake-up on its way
local leases    = KEYS[5]              -- zset: name -> end of lease, in ms
local name      = ARGV[1]              -- of the lock
local owner     = ARGV[2]              -- random, made for this acquisition
local lease_ms  = tonumber(ARGV[3])
local queue_ms  = tonumber(ARGV[4])    -- time to count as a waiter; 0: leave the queue
local container = ARGV[5]              -- of the caller
local note      = ARGV[6]              -- free text

local locks = include('lib/locks')
local now = math.floor(now_us / 1000)
local place = tonumber(redis.call('ZSCORE', queue, owner) or nil)
local ms = redis.call('PTTL', lock)
if place and place < 0 then
  if ms == -2 then
    locks.wake(queue, wake)    -- the wake-up that ran this belongs to another waiter now
  end
  return { 'left' }
end
if ms == -2 then
  local token = locks.grant(lock, fence, leases, name, owner, lease_ms, container, note)
  if place then
    redis.call('ZREM', queue, owner)
  end
  return { 'held', token, now }
end

if queue_ms > 0 then
  redis.call('ZADD', queue, now + queue_ms, owner)
  local expired = redis.call('ZRANGEBYSCORE', queue, '(-' .. now, '(' .. now, 'LIMIT', 0, 8)
  if #expired > 0 then
    redis.call('ZREM', queue, unpack(expired))
  end
  if redis.call('PTTL', queue) < queue_ms then
    redis.call('PEXPIRE', queue, queue_ms)
  end
elseif place then
  redis.call('ZREM', queue, owner)
end
return { 'wait', ms, now, unpack(redis.call('HMGET', lock, 'container', 'owner', 'note', 'since')) }
