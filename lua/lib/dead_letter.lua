-- lib/dead_letter: the end of a transfer: it releases its quota, and one that died is listed as dead.
local quota = include('lib/quota')
local account = include('lib/account')
local dead_letter = {}

-- List a transfer as dead, and release its quota. The snapshot of a dead one counts for its owner.
function dead_letter.add(keys, name, at)
  local _, owner = quota.reservation(keys, name)
  quota.reserve(keys, name, owner or '', nil)
  redis.call('ZREM', keys.open, name)
  if not keys.dead then
    redis.call('HDEL', keys.reserved, name)
    return
  end
  if redis.call('ZADD', keys.dead, at, name) == 1 then
    account.add(keys, 'd:' .. (owner or ''), 1)
    quota.expire(keys)
  end
  redis.call('PEXPIRE', keys.dead, 2 * quota.KEPT_MS)
end

-- Remove a transfer from all quota keys, without a dead-letter entry.
function dead_letter.forget(keys, name)
  local bytes, owner = quota.reservation(keys, name)
  if bytes then
    quota.reserve(keys, name, owner, nil)
  end
  redis.call('ZREM', keys.open, name)
  redis.call('HDEL', keys.reserved, name)
  if keys.dead then
    if redis.call('ZREM', keys.dead, name) == 1 then
      account.add(keys, 'd:' .. (owner or ''), -1)
    end
    redis.call('HDEL', keys.snapshots, name)
  end
end

-- Check the transfers that may be dead, `most` at most. Return how many were checked.
function dead_letter.sweep(keys, partition, now, most)
  local due = redis.call('ZRANGEBYSCORE', keys.open, '-inf', '(' .. now, 'WITHSCORES', 'LIMIT', 0, most)
  for place = 1, #due, 2 do
    local ends = tonumber(redis.call('ZSCORE', partition, due[place]) or nil)
    if ends and ends >= now then    -- a record is there until its time has passed
      redis.call('ZADD', keys.open, ends, due[place])
    else
      dead_letter.add(keys, due[place], math.max(ends or 0, tonumber(due[place + 1])))
    end
  end
  if keys.dead then
    for _, name in ipairs(redis.call('ZRANGEBYSCORE', keys.dead, '-inf', now - quota.KEPT_MS, 'LIMIT', 0, most)) do
      dead_letter.forget(keys, name)
    end
  end
  return #due / 2
end

return dead_letter
