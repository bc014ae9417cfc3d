-- lib/taking: what it is to take work that must run once: hold its lock, and create or re-open its record.
--
-- Lock and record change together, so there is no instant in which one taker holds the lock and
-- another one's record is open. What the last taker left stays in the record, and is told.
local clock = include('lib/clock')
local record = include('lib/record')
local locks = include('lib/locks')
local taking = {}

-- Return the reply.
function taking.take(entry, partition, lock, guard, leases, companions, name, terms, fields)
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
  if attempts >= terms.most then
    return { 'exhausted', attempts, reason or 'null' }
  end
  local rest = tonumber(retry_at or 0) - clock.ms()
  if rest > 0 then
    return { 'resting', rest }
  end

  local before = redis.call('HGETALL', entry)
  local fence, now = locks.grant(lock, guard, leases, name, terms.owner, terms.lease_ms, terms.container, terms.note)
  redis.call('HSET', entry, '@claim', 'taken', '@attempts', attempts + 1, '@fence', fence, '@owner', terms.container,
    '@version', record.next(version, now * 1000), '@ttl', terms.ttl_ms, '@created', created or now, '@updated', now,
    unpack(fields))
  redis.call('HDEL', entry, 'error', '@retry_at')
  record.keep(entry, partition, name, terms.ttl_ms, now, companions)
  return { 'taken', fence, now, attempts + 1, before }
end

return taking
