-- lib/upload_size: bounds of the size of an upload, by the bytes received.
local upload_size = {}

upload_size.MAX_CHUNKS = 8388608    -- a bitmap of 1 MB
local MAX_SIZE = 2 ^ 53 - 1         -- bytes: the largest whole number that a double counts exactly

-- Return the number of the highest chunk accepted; -1: none. Bits are never cleared, so it is in the last byte.
function upload_size.highest_chunk(bitmap)
  local byte, number = string.byte(redis.call('GETRANGE', bitmap, -1, -1)), redis.call('STRLEN', bitmap) * 8 - 1
  while byte and byte % 2 == 0 do
    byte, number = byte / 2, number - 1
  end
  return number
end

-- Return the least and the largest size that the upload can have.
function upload_size.bounds(session, bitmap)
  if session.short then
    return session.short, session.short
  end
  local largest = session.chunk and math.min(MAX_SIZE, upload_size.MAX_CHUNKS * session.chunk) or MAX_SIZE
  return session.count > 0 and (upload_size.highest_chunk(bitmap) + 1) * session.chunk or session.bytes, largest
end

return upload_size
