-- lib/uploads: what a session has received, and the moment in which that is all.
-- The record's own fields are the truth. A session is whole when its bytes are its size: each chunk counts
-- once, with the one size it can have. `@closed` says that it was aborted, `@claim` done that it is stored.
local record = include('lib/record')
local ledger = include('lib/ledger')
local uploads = {}

-- Return how many chunks a size makes. Exact below 2^53, though the quotient is rounded.
function uploads.chunks_of(total, chunk)
  return math.ceil(total / chunk)
end

-- Return a session as a table; nil when there is none.
function uploads.read(entry)
  local values = redis.call('HMGET', entry, '@version', '@ttl', '@closed', '@claim', '@short',
    'total_size', 'chunk_size', 'bytes_received', 'chunks_received', '@updated')
  if not values[1] then
    return nil
  end
  local short, total, chunk = tonumber(values[5] or nil), tonumber(values[6] or nil), tonumber(values[7] or nil)
  local bytes, count = tonumber(values[8] or 0) or 0, tonumber(values[9] or 0) or 0
  return { version = values[1], ttl_ms = tonumber(values[2]), short = short, total = total, bytes = bytes,
    count = count, chunk = (chunk or 0) >= 1 and chunk or nil, whole = total and bytes >= total,
    closed = values[3] or (values[4] == 'done' and 'stored'), updated = tonumber(values[10] or nil) }
end

-- Return the reply that refuses more bytes, when they are too much for the owner.
function uploads.lacks(books, name, more, most)
  local bytes, owner = ledger.fact(books, name)
  local _, used = ledger.used(books, owner or '')
  if bytes and more > 0 and used + more > most then
    return { 'quota', owner, 'bytes', used, most }
  end
end

-- Write what a session has now, and reply: `completed` to the call that makes it whole. Until then it
-- reserves its size, or what it has received while that is not known.
function uploads.write(session, entry, partition, companions, books, name, now)
  local completes = session.total == session.bytes and not session.whole
  redis.call('HSET', entry, 'bytes_received', string.format('%.0f', session.bytes), 'chunks_received', session.count,
    '@version', record.next(session.version), '@updated', now)
  if completes then
    redis.call('HSET', entry, 'status', '"complete"')
  elseif session.short and not session.total then
    redis.call('HSET', entry, '@short', string.format('%.0f', session.short))
  end
  local bytes, owner = ledger.fact(books, name)
  local reserves = not completes and (session.total or session.bytes) or nil
  if bytes and bytes ~= reserves then
    ledger.book(books, name, owner, reserves)
  end
  record.keep(entry, partition, name, session.ttl_ms, now, companions, session.updated)
  ledger.keep(books, session.ttl_ms)
  local needed = session.total and session.chunk and uploads.chunks_of(session.total, session.chunk) or -1
  local word = completes and 'completed' or session.whole and 'complete' or 'received'
  return { word, session.bytes, session.count, needed }
end

return uploads
