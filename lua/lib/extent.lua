-- lib/extent: how large an upload can be, by what was received of it.
local extent = {}

extent.MOST = 8388608        -- chunks of an upload: a bitmap of 1 MB
local LARGEST = 2 ^ 53 - 1   -- bytes: the largest whole number that a double counts exactly

-- Return the highest number accepted so far; -1: none. Bits are never cleared, so it is in the last byte.
function extent.highest(seen)
  local byte, number = string.byte(redis.call('GETRANGE', seen, -1, -1)), redis.call('STRLEN', seen) * 8 - 1
  while byte and byte % 2 == 0 do
    byte, number = byte / 2, number - 1
  end
  return number
end

-- Return the least and the largest size that it can have.
function extent.bounds(session, seen)
  if session.short then
    return session.short, session.short
  end
  local largest = session.chunk and math.min(LARGEST, extent.MOST * session.chunk) or LARGEST
  return session.count > 0 and (extent.highest(seen) + 1) * session.chunk or session.bytes, largest
end

return extent
