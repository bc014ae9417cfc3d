-- lib/claim: what ends a claim: the record says how it went, and the lock is free.
--
-- `@claim` is taken, done or failed, and `@attempts` counts the takers. A taker whose lease is over
-- may still end its claim, as long as nobody has taken it since: the token decides, not the lease.
local record = include('lib/record')
local locks = include('lib/lock')
local claim = {}

-- Write how it went. Return nil, or the newer token that forbids it.
function claim.settle(entry, partition, lock, guard, leases, queue, wake, name, owner, token, ttl_ms, state, fields)
  local version, _, fence, _, created = record.meta(entry, '@created')
  local newest = record.newer(token, fence, guard)
  if newest then
    return newest
  end
  local now = math.floor(now_us / 1000)
  redis.call('HSET', entry, '@claim', state, '@fence', token, '@version', record.next(version, now_us),
    '@ttl', ttl_ms, '@created', created or now, '@updated', now, unpack(fields))
  record.keep(entry, partition, name, ttl_ms, now, {})
  if redis.call('HGET', lock, 'owner') == owner then
    locks.free(lock, leases, queue, wake, name)
  else
    redis.call('ZREM', leases, name)
  end
end

return claim
