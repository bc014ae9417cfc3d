-- lib/downloads: the ranges sent of a download, and their rate.
--
-- Ranges form a set, so a range that was requested twice counts once. `@marks` holds two moments, with the
-- bytes sent by then: the rate is measured from the older one, 5 to 10 seconds ago.
local record = include('lib/record')
local ranges = include('lib/ranges')
local downloads = {}

local WINDOW_MS = 5000

-- Return a download as a table; nil when there is none.
function downloads.read(entry)
  local values = redis.call('HMGET', entry,
    '@version', '@ttl', 'total_bytes', 'status', '@ranges', '@marks', '@updated', '@generation')
  if not values[1] then
    return nil
  end
  local marks = {}
  for number in string.gmatch(values[6] or '', '%d+') do
    marks[#marks + 1] = tonumber(number)
  end
  local found = { version = values[1], ttl_ms = tonumber(values[2]), total = tonumber(values[3] or nil),
    finished = values[4] == '"finished"', marks = marks, updated = tonumber(values[7] or nil),
    generation = values[8] }
  found.ranges, found.count, found.sent, found.offset = ranges.add(values[5] or '', 0, 0)
  return found
end

-- Return the state of a download as a reply.
function downloads.reply(found, now)
  local past = now - (found.marks[1] or now)
  local rate = past > 0 and (found.sent - found.marks[2]) * 1000 / past or 0
  return { found.finished and 'finished' or 'active', found.sent, found.offset, found.total or -1,
    string.format('%.17g', rate), found.generation or '' }
end

-- Write a download.
function downloads.write(found, entry, partition, name, now)
  local marks = found.marks
  if #marks ~= 4 then
    found.marks = { now, found.sent, now, found.sent }
  elseif now - marks[3] >= WINDOW_MS then
    found.marks = { marks[3], marks[4], now, found.sent }
  end
  redis.call('HSET', entry, 'bytes_sent', string.format('%.0f', found.sent), '@ranges', found.ranges,
    'status', found.finished and '"finished"' or '"active"',
    '@marks', string.format('%.0f %.0f %.0f %.0f', unpack(found.marks)),
    '@version', record.next(found.version), '@updated', now)
  record.renew(entry, partition, name, found.ttl_ms, now, {}, found.updated)
end

return downloads
