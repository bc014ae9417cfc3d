-- lib/text_entry: the packed metadata of an entry of the text cache.
--
-- Its parts: hits, expiry in ms, mtime as seconds and nanoseconds (-1: none), bytes accounted, time of
-- creation in s, and the 8 bytes that the stored text begins with. A double holds no 19 digits, hence the
-- two parts of mtime. The totals of the shard are a field of the same hash, so that a hit reads both at once and
-- writes both at once; no name can be that field, for names are UTF-8.
local text_entry = {}

text_entry.TOTALS = '\255'
text_entry.FORMAT = '>I4ddi4I4dc8'
text_entry.BYTES_AT = 25    -- where the bytes accounted begin

-- Return whether an entry is expired.
function text_entry.expired(entry, now)
  local _, expiry = struct.unpack('>I4d', entry)
  return expiry <= now
end

-- Return an entry's mtime, as it is packed.
function text_entry.mtime(entry)
  return string.sub(entry, 13, 24)
end

-- Return whether an entry is of a newer file than a put is. One without an mtime is as new as any.
function text_entry.is_newer(entry, seconds, nanos)
  local _, _, its_seconds, its_nanos = struct.unpack('>I4ddi4', entry)
  if its_nanos < 0 or nanos < 0 then
    return false
  end
  return its_seconds > seconds or its_seconds == seconds and its_nanos > nanos
end

-- Return the bytes accounted for an entry.
function text_entry.bytes(entry)
  return (struct.unpack('>I4', entry, text_entry.BYTES_AT))
end

return text_entry
