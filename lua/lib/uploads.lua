-- lib/uploads: the bytes that a session has received, and its completion.
-- The record's own fields are the truth. A session is whole when its bytes are its size: each chunk counts
-- once, with the one size it can have. `@closed` says that it was aborted, `@claim` done that it is stored,
-- `@counted` that a chunk was counted here: then old code cannot write the counts.
local record = include('lib/record')
local upload_quota = include('lib/upload_quota')
local uploads = {}

-- Return the number of chunks of a size. Exact below 2^53, though the quotient is rounded.
function uploads.chunks_of(total, chunk)
  return math.ceil(total / chunk)
end

-- Return a session as a table; nil when there is none.
function uploads.read(entry)
  local values = redis.call('HMGET', entry, '@version', '@ttl', '@closed', '@claim', '@short', 'total_size',
    'chunk_size', 'bytes_received', 'chunks_received', '@updated', '@generation', '@counted')
  if not values[1] then
    return nil
  end
  local short, total, chunk = tonumber(values[5] or nil), tonumber(values[6] or nil), tonumber(values[7] or nil)
  local bytes, count = tonumber(values[8] or 0) or 0, tonumber(values[9] or 0) or 0
  return { version = values[1], ttl_ms = tonumber(values[2]), short = short, total = total, bytes = bytes,
    count = count, chunk = (chunk or 0) >= 1 and chunk or nil, whole = total and bytes >= total,
    closed = values[3] or (values[4] == 'done' and 'stored'), updated = tonumber(values[10] or nil),
    generation = values[11], counted = values[12] }
end

-- Write the counts of a session, and return the reply: `completed` for the call that makes it whole.
function uploads.write(session, entry, partition, companions, keys, name, now)
  local completes = session.total == session.bytes and not session.whole
  redis.call('HSET', entry, 'bytes_received', string.format('%.0f', session.bytes), 'chunks_received', session.count,
    '@counted', 1, '@version', record.next(session.version), '@updated', now)
  if completes then
    redis.call('HSET', entry, 'status', '"complete"')
  elseif session.short and not session.total then
    redis.call('HSET', entry, '@short', string.format('%.0f', session.short))
  end
  record.renew(entry, partition, name, session.ttl_ms, now, companions, session.updated)
  upload_quota.update(keys, name, session, completes)
  local needed = session.total and session.chunk and uploads.chunks_of(session.total, session.chunk) or -1
  local word = completes and 'completed' or session.whole and 'complete' or 'received'
  return { word, session.bytes, session.count, needed, session.generation or '' }
end

return uploads
