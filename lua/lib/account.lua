-- lib/account: the counts of each owner: 'n:<owner>' transfers, 'b:<owner>' their bytes, 'd:<owner>' dead ones.
local account = {}

-- Add to an account. No limit is no number, so sums may pass what HINCRBY holds; they end with the last transfer.
function account.add(keys, field, by)
  local sum = tonumber(redis.call('HGET', keys.accounts, field) or 0) + by
  if sum > 0 then
    redis.call('HSET', keys.accounts, field, string.format('%.0f', sum))
  else
    redis.call('HDEL', keys.accounts, field)
  end
  return sum
end

-- Return the reply that refuses more than an owner may have, or nil; `most` -1: no limit. Transfers without an owner
-- share no account: each has its own.
function account.exceeded(keys, owner, kind, what, own, more, most)
  local used = owner == '' and own or tonumber(redis.call('HGET', keys.accounts, kind .. owner) or 0)
  if most >= 0 and used + more > most then
    return { 'quota', owner, what, used, most }
  end
end

-- Subtract a transfer and its bytes.
function account.subtract(keys, owner, bytes)
  account.add(keys, 'b:' .. owner, -bytes)
  if account.add(keys, 'n:' .. owner, -1) <= 0 then
    redis.call('HDEL', keys.accounts, 'b:' .. owner)
  end
end

return account
