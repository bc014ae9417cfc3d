-- lib/record: what all writes to a record have in common.
--
-- A record is a hash: a field per entry, and meta fields that begin with @. Its companions (a
-- bitmap, a stream of news) live and die with it: they are renewed when it is written, and
-- deleted when it is replaced or removed.
local index = include('lib/index')
local record = {}

-- Return version, ttl in ms, fence, time of the last write, and the fields asked for: as text, or
-- false. Without a version there is no record.
function record.meta(entry, ...)
  return unpack(redis.call('HMGET', entry, '@version', '@ttl', '@fence', '@updated', ...))
end

-- Return the newest token when it refuses this one. The lock's own token counts, so that a new
-- holder is safe from the old one's writes before it has written anything itself.
function record.newer(token, fence, guard)
  if token == '' then
    return nil
  end
  local newest = math.max(tonumber(fence or 0), tonumber(redis.call('HGET', guard, 'fence') or 0))
  if tonumber(token) < newest then
    return string.format('%.0f', newest)
  end
end

-- Return the version after this one. The first is the time in us, so that none comes twice,
-- also when a record was deleted and made anew.
function record.next(version, now_us)
  return version and version + 1 or now_us
end

-- Renew the TTL of a record and its companions, and its place in the index. updated: when it was
-- last written, if that was with the same TTL.
function record.keep(entry, partition, name, ttl_ms, now, companions, updated)
  redis.call('PEXPIREAT', entry, now + ttl_ms)
  for _, companion in ipairs(companions) do
    redis.call('PEXPIREAT', companion, now + ttl_ms)
  end
  index.enter(partition, name, now, ttl_ms, updated)
end

return record
