-- lib/claim: take work that must run once: grant its lock, and create or reopen its record.
--
-- Lock and record change together, so at no instant does one taker hold the lock while the record of another
-- is open. The fields that the last taker wrote stay in the record, and are part of the reply.
local clock = include('lib/clock')
local record = include('lib/record')
local locks = include('lib/locks')
local claim = {}

-- Take the work, unless it is done, held, exhausted or resting. Return the reply.
-- `request` has owner, lease_ms, ttl_ms, most (attempts), container and note.
function claim.take(keys, name, request, fields)
  local entry, lock = keys.entry, keys.lock
  local state, attempts, retry_at, result, reason, version, created = unpack(redis.call('HMGET', entry,
    '@claim', '@attempts', '@retry_at', 'result', 'error', '@version', '@created'))
  if state == 'done' then
    return { 'done', result or 'null' }
  end
  local ms = redis.call('PTTL', lock)
  if ms ~= -2 then
    return { 'claimed', ms, redis.call('HGET', lock, 'container') }
  end
  attempts = tonumber(attempts or 0)
  if attempts >= request.most then
    return { 'exhausted', attempts, reason or 'null' }
  end
  local rest = tonumber(retry_at or 0) - clock.ms()
  if rest > 0 then
    return { 'resting', rest }
  end

  local before = redis.call('HGETALL', entry)
  local ttl_ms = math.max(request.ttl_ms, request.lease_ms)    -- it outlives the lease, even if no write renews it
  local token, now = locks.grant(lock, keys.fence, keys.leases, name, request.owner, request.lease_ms,
    request.container, request.note)
  redis.call('HSET', entry, '@claim', 'taken', '@attempts', attempts + 1, '@fence', token,
    '@owner', request.container, '@version', record.next(version, now * 1000), '@ttl', ttl_ms,
    '@created', created or now, '@updated', now, unpack(fields))
  redis.call('HDEL', entry, 'error', '@retry_at')
  record.renew(entry, keys.partition, name, ttl_ms, now, keys.companions)
  return { 'taken', token, now, attempts + 1, before }
end

return claim
