-- lib/claim: what ends a claim: the record says how it went, and the lock is free.
--
-- `@claim` is taken, done or failed, and `@attempts` counts the takers. A taker whose lease is over
-- may still end its claim, as long as nobody has taken it since: the token decides, not the lease. What
-- is done stays done, also when its taker was not told so and says that it failed.
local record = include('lib/record')
local locks = include('lib/locks')
local claim = {}

-- Write how it went. Return nil, or the reply that refuses it: {'stale', newest} or {'done', result}.
function claim.settle(keys, name, owner, token, ttl_ms, state, fields)
  local entry, lock, guard = keys.entry, keys.lock, keys.guard
  local version, _, fence, _, created, was, result = record.meta(entry, '@created', '@claim', 'result')
  local newest = record.newer(token, fence, guard)
  if newest then
    return { 'stale', newest }
  end
  if was == 'done' and state ~= 'done' then
    return { 'done', result or 'null' }
  end
  local now = math.floor(now_us / 1000)
  redis.call('HSET', entry, '@claim', state, '@fence', token, '@version', record.next(version, now_us),
    '@ttl', ttl_ms, '@created', created or now, '@updated', now, unpack(fields))
  record.keep(entry, keys.partition, name, ttl_ms, now, keys.companions)
  if redis.call('HGET', lock, 'owner') == owner then
    locks.free(lock, keys.leases, keys.queue, keys.wake, name)
  else
    redis.call('ZREM', keys.leases, name)
  end
end

return claim
