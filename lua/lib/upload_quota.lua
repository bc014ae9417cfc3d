-- lib/upload_quota: the bytes that an upload reserves for its owner until it is whole: its size, or those received.
local quota = include('lib/quota')
local account = include('lib/account')
local upload_quota = {}

-- Return the reply that refuses more bytes than the owner may have, or nil.
function upload_quota.exceeded(keys, name, more, most)
  local bytes, owner = quota.reservation(keys, name)
  if bytes and more > 0 then
    return account.exceeded(keys, owner, 'b:', 'bytes', bytes, more, most)
  end
end

-- Update the bytes that it reserves.
function upload_quota.update(keys, name, session, completes)
  local bytes, owner = quota.reservation(keys, name)
  local reserves = not completes and (session.total or session.bytes) or nil
  if bytes and bytes ~= reserves then
    quota.reserve(keys, name, owner, reserves)
  end
  quota.renew(keys, session.ttl_ms)
end

return upload_quota
