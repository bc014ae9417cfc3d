-- lib/record: common steps of all writes to a record.
--
-- A record is a hash: a field per item, and meta fields that begin with @. Its companions (a bitmap, a
-- stream of news) are renewed when it is written, and deleted when it is replaced or removed. Claims and
-- downloads keep meta fields of their own, so a write deletes fields, and never the key.
local index = include('lib/index')
local record = {}

-- Return version, ttl in ms, fence, time of the last write, and the fields asked for: as text, or
-- false. Without a version there is no record.
function record.meta(entry, ...)
  return unpack(redis.call('HMGET', entry, '@version', '@ttl', '@fence', '@updated', ...))
end

-- Return the version after this one. The first is the time in us, so that none comes twice,
-- also when a record was deleted and created again.
function record.next(version, now_us)
  return version and version + 1 or now_us
end

-- Delete all fields but the meta fields, which begin with one @. O(fields).
function record.delete_fields(entry)
  local gone = {}
  for _, field in ipairs(redis.call('HKEYS', entry)) do
    if string.byte(field) ~= 64 or string.byte(field, 2) == 64 then
      gone[#gone + 1] = field
    end
  end
  for place = 1, #gone, 4000 do
    redis.call('HDEL', entry, unpack(gone, place, math.min(place + 3999, #gone)))
  end
end

-- Renew the TTL of a record and its companions, and its place in the index. updated: when it was
-- last written, if that was with the same TTL.
function record.renew(entry, partition, name, ttl_ms, now, companions, updated)
  redis.call('PEXPIREAT', entry, now + ttl_ms)
  for _, companion in ipairs(companions) do
    redis.call('PEXPIREAT', companion, now + ttl_ms)
  end
  index.add(partition, name, now, ttl_ms, updated)
end

return record
