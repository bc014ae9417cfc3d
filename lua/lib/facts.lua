-- lib/facts: what is known of an entry of the text cache, packed, and of all of them together.
--
-- An entry: hits, expiry in ms, mtime as seconds and nanoseconds (-1: none), bytes accounted, time of
-- creation in s, and the 8 bytes that its blob begins with. A double holds no 19 digits, hence the
-- two parts of mtime. The totals are a field of the same hash, so that a hit reads both at once and
-- writes both at once; no name can be that field, for names are UTF-8.
local facts = {}

facts.TOTALS = '\255'
facts.ENTRY = '>I4ddi4I4dc8'
facts.STORED = 25    -- where the bytes accounted begin

-- Tell whether an entry's time is over.
function facts.over(entry, now)
  local _, ends = struct.unpack('>I4d', entry)
  return ends <= now
end

-- Return an entry's mtime, packed as it is.
function facts.mtime(entry)
  return string.sub(entry, 13, 24)
end

-- Tell whether an entry stays when another is put: it is of a newer file, or only absent ones are to be put.
function facts.stays(entry, now, seconds, nanos, absent)
  local _, ends, its_seconds, its_nanos = struct.unpack('>I4ddi4', entry)
  if ends <= now or absent == '1' then
    return ends > now
  end
  if its_nanos < 0 or nanos < 0 then
    return false
  end
  return its_seconds > seconds or its_seconds == seconds and its_nanos > nanos
end

-- Return the bytes accounted for an entry.
function facts.stored(entry)
  return (struct.unpack('>I4', entry, facts.STORED))
end

-- Return an entry with one hit more.
function facts.used(entry)
  return struct.pack('>I4', struct.unpack('>I4', entry) + 1) .. string.sub(entry, 5)
end

return facts
