-- lib/chunk: accept or refuse a chunk, by the chunks that came before.
--
-- While the size is not known, chunks are full until one that is shorter: that one is the last, so it
-- must have the highest number, and none may come behind it (`@short` is the byte where it ends).
local uploads = include('lib/uploads')
local upload_size = include('lib/upload_size')
local chunk = {}

-- Return accepted, duplicate, or why not, and the size it should have. An accepted one is added to the
-- session's counts and to `fresh` (number -> checksum): a batch is checked whole before any of it is written.
function chunk.check(session, bitmap, checksums, fresh, number, size, checksum)
  if not session.chunk or (session.bytes > 0 and session.count == 0) then
    return 'offsets', 0
  end
  local ends = session.total or session.short
  local count = ends and uploads.chunks_of(ends, session.chunk) or upload_size.MAX_CHUNKS
  if number < 0 or number >= count then
    return 'range', count
  end
  local expected = ends and number == count - 1 and ends - number * session.chunk or session.chunk
  local known = fresh[number]
  if not known and redis.call('GETBIT', bitmap, number) == 1 then
    known = checksum ~= '' and redis.call('HGET', checksums, number) or ''
  end
  if known then
    local same = size == expected and (known == '' or checksum == '' or known == checksum)
    return same and 'duplicate' or 'conflict', expected
  end
  session.highest = session.highest or upload_size.highest_chunk(bitmap)
  if not ends and size > 0 and size < expected and number > session.highest then
    session.short, expected = number * session.chunk + size, size
  end
  if size ~= expected then
    return 'size', expected
  end
  fresh[number] = checksum
  session.highest = math.max(session.highest, number)
  session.bytes, session.count = session.bytes + size, session.count + 1
  return 'accepted', expected
end

-- Mark the chunks of a batch as accepted.
function chunk.write(bitmap, checksums, fresh)
  for number, checksum in pairs(fresh) do
    redis.call('SETBIT', bitmap, number, 1)
    if checksum ~= '' then
      redis.call('HSET', checksums, number, checksum)
    end
  end
end

return chunk
