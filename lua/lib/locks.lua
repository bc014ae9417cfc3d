-- lib/locks: what it is to grant a lock, to free it, and to wake who waits for it.
--
-- The token is the time in us, and at least one more than the last: time makes it grow when the
-- last one is lost, the last one makes it grow when the clock stands still or steps back. `leases`
-- keeps a name whose lease ended unreleased for a day: that is how a dead holder is found.
--
-- For scripts of class `once`: they know the time.
local locks = {}

local now = math.floor(now_us / 1000)

local DAY_MS = 86400000
local HOUR_US = 3600000000
local SWEPT = 8          -- names dropped by the first grant of a lock in each hour: more than it adds
local WAKE_MS = 10000    -- a wake-up that nobody took; whoever waits asks again sooner by itself

-- Give a lock that is free to `owner`. Return the token as text, and the time in ms.
function locks.grant(key, guard, leases, name, owner, lease_ms, container, note)
  local last = tonumber(redis.call('HGET', guard, 'fence') or 0)
  local fence = string.format('%.0f', math.max(last + 1, now_us))
  redis.call('HSET', guard, 'fence', fence)
  redis.call('HSET', key, 'owner', owner, 'fence', fence, 'container', container, 'since', now, 'note', note)
  locks.extend(key, guard, leases, name, lease_ms)
  if math.floor(last / HOUR_US) ~= math.floor(now_us / HOUR_US) then
    local old = redis.call('ZRANGEBYSCORE', leases, '-inf', now - DAY_MS, 'LIMIT', 0, SWEPT)
    if #old > 0 then
      redis.call('ZREM', leases, unpack(old))
    end
  end
  return fence, now
end

-- Let a lease end `lease_ms` from now. The token outlives it by a day; then time itself has passed it.
function locks.extend(key, guard, leases, name, lease_ms)
  redis.call('PEXPIREAT', key, now + lease_ms)
  redis.call('PEXPIREAT', guard, now + lease_ms + DAY_MS)
  redis.call('ZADD', leases, now + lease_ms, name)
  redis.call('PEXPIRE', leases, 2 * DAY_MS)
end

-- Free a lock that is held, and wake the one that has waited longest.
function locks.free(key, leases, queue, wake, name)
  redis.call('DEL', key)
  redis.call('ZREM', leases, name)
  locks.wake(queue, wake)
end

-- Send one wake-up if anyone waits. Redis gives it to the client that has blocked longest.
function locks.wake(queue, wake)
  if redis.call('ZCOUNT', queue, now, '+inf') > 0 then
    redis.call('DEL', wake)
    redis.call('RPUSH', wake, 'free')
    redis.call('PEXPIRE', wake, WAKE_MS)
  end
end

return locks
