-- lib/claim_end: the end of a claim: its record gets the outcome, and its lock is freed.
--
-- `@claim` is taken, done, failed or released, and `@attempts` counts the takers. A taker whose lease is
-- over may still end its claim, unless another has taken it since: the token decides, not the lease. Done
-- work stays done, also when its taker lost the reply and reports a failure. Released work was interrupted,
-- so its attempt is not counted.
local record = include('lib/record')
local tokens = include('lib/tokens')
local locks = include('lib/locks')
local claim_end = {}

-- Write the outcome. Return nil, or the reply that refuses it: {'stale', newest} or {'done', result}.
-- A taker whose take had no reply passes the token '': it releases the claim that its lock says it holds.
function claim_end.settle(keys, name, owner, token, ttl_ms, state, rest_ms, fields)
  local entry, lock = keys.entry, keys.lock
  local holder, granted = unpack(redis.call('HMGET', lock, 'owner', 'fence'))
  if token == '' then
    if holder ~= owner then
      return nil
    end
    token = granted
  end
  local version, _, latest, _, created, was, result, attempts =
    record.meta(entry, '@created', '@claim', 'result', '@attempts')
  local newest = tokens.newer(token, latest, keys.fence)
  if newest then
    return { 'stale', newest }
  end
  if was == 'done' and state ~= 'done' then
    return { 'done', result or 'null' }
  end
  local now = math.floor(now_us / 1000)
  if state == 'failed' then
    fields[#fields + 1], fields[#fields + 2] = '@retry_at', now + rest_ms
  elseif state == 'released' then
    fields[#fields + 1], fields[#fields + 2] = '@attempts', math.max(0, tonumber(attempts or 0) - 1)
  end
  if state ~= 'released' or was == 'taken' then    -- a claim that failed before, or is not taken, stays as it is
    redis.call('HSET', entry, '@claim', state, '@fence', token, '@version', record.next(version, now_us),
      '@ttl', ttl_ms, '@created', created or now, '@updated', now, unpack(fields))
    record.renew(entry, keys.partition, name, ttl_ms, now, keys.companions)
  end
  if holder == owner then
    locks.free(lock, keys.leases, keys.queue, keys.wake, name)
  else
    redis.call('ZREM', keys.leases, name)
  end
end

return claim_end
