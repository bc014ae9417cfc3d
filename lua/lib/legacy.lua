-- lib/legacy: uploads as old code writes them: once a chunk was counted here, old code cannot write the counts.
local uploads = include('lib/uploads')
local upload_quota = include('lib/upload_quota')
local legacy = {}

local COUNTS = { bytes_received = true, chunks_received = true, total_size = true, total_chunks = true,
  chunk_size = true }

-- Return whether a field of this session is closed to old code (nil: there is no session yet).
function legacy.protects(session, bitmap, field)
  return COUNTS[field] and session and (session.counted or redis.call('EXISTS', bitmap) == 1)
end

-- Complete a session that a write has made whole, and release its quota.
function legacy.complete(before, entry, keys, name)
  local session = uploads.read(entry)
  if session.closed then
    return
  end
  local completes = session.total == session.bytes and not (before and before.whole)
  local status = redis.call('HGET', entry, 'status')
  if completes and (not status or status == '"uploading"') then
    redis.call('HSET', entry, 'status', '"complete"')
  end
  upload_quota.update(keys, name, session, completes or session.whole)
end

return legacy
