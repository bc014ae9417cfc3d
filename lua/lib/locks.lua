-- lib/locks: grant a lock, free it, and wake its waiters.
--
-- The token is the time in us, and at least one more than the last: time makes it grow when the
-- last one is lost, the last one makes it grow when the clock stands still or steps back. `leases`
-- keeps a name whose lease ended unreleased for a day, so that dead holders are found.
--
-- For scripts of class `deduplicated`: they are given the time.
local locks = {}

local now = math.floor(now_us / 1000)

local DAY_MS = 86400000
local TWO_DAYS_MS = '172800000'    -- text: a number would be written out at each call
local HOUR_US = 3600000000
local SWEEP_COUNT = 8    -- names dropped by the first grant of a lock in each hour: more than it adds
local WAKE_MS = 10000    -- a wake-up that no waiter took; waiters ask again sooner by themselves

-- Grant a free lock to `owner`. Return the token as text, and the time in ms.
function locks.grant(key, fence, leases, name, owner, lease_ms, container, note)
  local last = tonumber(redis.call('HGET', fence, 'fence') or 0)
  local token = string.format('%.0f', math.max(last + 1, now_us))
  redis.call('HSET', fence, 'fence', token)
  redis.call('HSET', key, 'owner', owner, 'fence', token, 'container', container, 'since', now, 'note', note)
  locks.extend(key, fence, leases, name, lease_ms)
  if math.floor(last / HOUR_US) ~= math.floor(now_us / HOUR_US) then
    local old = redis.call('ZRANGEBYSCORE', leases, '-inf', now - DAY_MS, 'LIMIT', 0, SWEEP_COUNT)
    if #old > 0 then
      redis.call('ZREM', leases, unpack(old))
    end
  end
  return token, now
end

-- Let a lease end `lease_ms` from now. The token outlives it by a day: later tokens are larger by the time alone.
function locks.extend(key, fence, leases, name, lease_ms)
  local ends = string.format('%.0f', now + lease_ms)
  redis.call('PEXPIREAT', key, ends)
  redis.call('PEXPIREAT', fence, now + lease_ms + DAY_MS)
  redis.call('ZADD', leases, ends, name)
  redis.call('PEXPIRE', leases, TWO_DAYS_MS)
end

-- Free a lock that is held, and wake the waiter that has waited longest.
function locks.free(key, leases, queue, wake, name)
  redis.call('DEL', key)
  redis.call('ZREM', leases, name)
  locks.wake(queue, wake)
end

-- Send one wake-up if there are waiters. Redis gives it to the client that has blocked longest.
function locks.wake(queue, wake)
  if redis.call('ZCOUNT', queue, now, '+inf') > 0 then
    redis.call('DEL', wake)
    redis.call('RPUSH', wake, 'free')
    redis.call('PEXPIRE', wake, WAKE_MS)
  end
end

return locks
