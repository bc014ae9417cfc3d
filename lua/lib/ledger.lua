-- lib/ledger: which transfers are open, what they reserve for their owners, and which have died.
--
-- Its books are five keys. `open` (zset): name -> when it may be dead, in ms; a write to a record moves
-- its place in the index only, and who sweeps looks there, so a chunk costs nothing here. `facts` (hash):
-- name -> '<bytes> <owner>', or '- <owner>' when it is counted no more. `accounts` (hash): 'n:<owner>' ->
-- transfers counted, 'b:<owner>' -> their bytes. `dead` (zset): name -> when it died; `memos` (hash):
-- name -> what it was opened with. Downloads keep no dead.
local ledger = {}

local KEPT_MS = 172800000    -- the dead are remembered for 2 days, and the books kept as long after the last write

-- Return what is counted for an owner: transfers, bytes.
function ledger.used(books, owner)
  local found = redis.call('HMGET', books.accounts, 'n:' .. owner, 'b:' .. owner)
  return tonumber(found[1] or 0), tonumber(found[2] or 0)
end

-- Return the bytes reserved, nil when it is not counted; and the owner, nil when it is not known.
function ledger.fact(books, name)
  local bytes, owner = string.match(redis.call('HGET', books.facts, name) or '', '^(%S+) (.*)$')
  return tonumber(bytes or nil), owner
end

-- Let a transfer reserve so many bytes; nil: it is counted no more.
function ledger.book(books, name, owner, bytes)
  local old_bytes, old_owner = ledger.fact(books, name)
  local function add(account, transfers, by)    -- `+ 0` makes 0 of -0, which Redis would refuse
    for field, more in pairs({ ['n:' .. account] = transfers, ['b:' .. account] = by }) do
      if redis.call('HINCRBY', books.accounts, field, string.format('%.0f', more + 0)) <= 0 then
        redis.call('HDEL', books.accounts, field)
      end
    end
  end
  if old_bytes then
    add(old_owner, -1, -old_bytes)
  end
  if bytes then
    add(owner, 1, bytes)
  end
  redis.call('HSET', books.facts, name, (bytes and string.format('%.0f', bytes) or '-') .. ' ' .. owner)
  for _, book in ipairs({ books.facts, books.accounts }) do
    if redis.call('PTTL', book) == -1 then    -- it was empty, and began anew
      redis.call('PEXPIRE', book, math.max(2 * KEPT_MS, redis.call('PTTL', books.open)))
    end
  end
end

-- Renew the books, so that they outlive every record.
function ledger.keep(books, ttl_ms)
  if redis.call('PTTL', books.open) < math.max(KEPT_MS, ttl_ms) then
    for _, book in pairs(books) do
      redis.call('PEXPIRE', book, 2 * math.max(KEPT_MS, ttl_ms))
    end
  end
end

ledger.KEPT_MS = KEPT_MS
return ledger
