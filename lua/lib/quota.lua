-- lib/quota: the quota keys: open transfers, the bytes that they reserve for their owners, and dead ones.
--
-- Five keys. `open` (zset): name -> when it may be dead, in ms; a write to a record moves its place in the index
-- only, and a sweep looks there, so a chunk costs nothing here. `reserved` (hash): name -> '<bytes> <owner>', or
-- '- <owner>' when it is no longer counted. `accounts` (hash): see lib/account. `dead` (zset): name -> when it died;
-- `snapshots` (hash): name -> the fields that it was opened with. Downloads have no dead and no snapshots.
local account = include('lib/account')
local quota = {}

local KEPT_MS = 172800000    -- the dead are listed for 2 days, and the keys live as long after the last write

-- Return the bytes reserved, nil if the transfer is not counted; and its owner, nil if unknown.
function quota.reservation(keys, name)
  local bytes, owner = string.match(redis.call('HGET', keys.reserved, name) or '', '^(%S+) (.*)$')
  return tonumber(bytes or nil), owner
end

-- Reserve bytes for a transfer, in place of the bytes that it had reserved; nil: release it.
function quota.reserve(keys, name, owner, bytes)
  local old_bytes, old_owner = quota.reservation(keys, name)
  if old_bytes then
    account.subtract(keys, old_owner, old_bytes)
  end
  if bytes then
    account.add(keys, 'n:' .. owner, 1)
    account.add(keys, 'b:' .. owner, bytes)
  end
  redis.call('HSET', keys.reserved, name, (bytes and string.format('%.0f', bytes) or '-') .. ' ' .. owner)
  quota.expire(keys)
end

-- Give a TTL to quota keys that a write has created.
function quota.expire(keys)
  for _, key in ipairs({ keys.reserved, keys.accounts }) do
    if redis.call('PTTL', key) == -1 then
      redis.call('PEXPIRE', key, math.max(2 * KEPT_MS, redis.call('PTTL', keys.open)))
    end
  end
end

-- Renew the TTL of the quota keys, so that they outlive every record.
function quota.renew(keys, ttl_ms)
  if redis.call('PTTL', keys.open) < math.max(KEPT_MS, ttl_ms) then
    for _, key in pairs(keys) do
      redis.call('PEXPIRE', key, 2 * math.max(KEPT_MS, ttl_ms))
    end
  end
end

quota.KEPT_MS = KEPT_MS
return quota
