-- lib/burial: how a transfer leaves the books: it died, or it came to its good end.
local ledger = include('lib/ledger')
local burial = {}

-- Note that it died: it reserves nothing any more, and is told to who asks for the dead.
function burial.bury(books, name, at)
  local _, owner = ledger.fact(books, name)
  ledger.book(books, name, owner or '', nil)
  redis.call('ZREM', books.open, name)
  if books.dead then
    redis.call('ZADD', books.dead, at, name)
    redis.call('PEXPIRE', books.dead, 2 * ledger.KEPT_MS)
  else
    redis.call('HDEL', books.facts, name)
  end
end

-- Forget it: whoever ended it needs no reminder.
function burial.forget(books, name)
  local bytes, owner = ledger.fact(books, name)
  if bytes then
    ledger.book(books, name, owner, nil)
  end
  redis.call('ZREM', books.open, name)
  redis.call('HDEL', books.facts, name)
  if books.dead then
    redis.call('ZREM', books.dead, name)
    redis.call('HDEL', books.memos, name)
  end
end

-- Look at those that may be dead, `most` at most. Return how many were looked at.
function burial.sweep(books, partition, now, most)
  local due = redis.call('ZRANGEBYSCORE', books.open, '-inf', '(' .. now, 'WITHSCORES', 'LIMIT', 0, most)
  for place = 1, #due, 2 do
    local ends = tonumber(redis.call('ZSCORE', partition, due[place]) or nil)
    if ends and ends >= now then    -- a record is there until its time has passed
      redis.call('ZADD', books.open, ends, due[place])
    else
      burial.bury(books, due[place], math.max(ends or 0, tonumber(due[place + 1])))
    end
  end
  if books.dead then
    for _, name in ipairs(redis.call('ZRANGEBYSCORE', books.dead, '-inf', now - ledger.KEPT_MS, 'LIMIT', 0, most)) do
      burial.forget(books, name)
    end
  end
  return #due / 2
end

return burial
