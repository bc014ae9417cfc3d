-- record/fill: set a field of an entry if it has none yet.
--
-- Retry: deduplicated.  Work: O(1).  allow-oom: no.
-- Replies  {'filled'}
--          {'was', value}   it was set before; nothing changed
--          {'missing'}      no such entry
local entry      = KEYS[1]              -- hash: the record
local partition  = KEYS[2]              -- zset: the index
local companions = { unpack(KEYS, 3) }  -- keys that live as long as the record
local name       = ARGV[1]              -- in the index
local field      = ARGV[2]
local value      = ARGV[3]

local record = include('lib/record')
local version, ttl, _, updated, was = record.meta(entry, field)
if not version then
  return { 'missing' }
end
if was then
  return { 'was', was }
end

local now = math.floor(now_us / 1000)
redis.call('HSET', entry, field, value, '@version', record.next(version), '@updated', now)
record.renew(entry, partition, name, tonumber(ttl), now, companions, updated)
return { 'filled' }
