-- record/unset: delete a field of an entry, and return it.
--
-- Retry: deduplicated.  Work: O(1).  allow-oom: yes.
-- Replies  {'was', value}
--          {'unset'}        the entry has no such field
--          {'missing'}      no such entry
local entry      = KEYS[1]              -- hash: the record
local partition  = KEYS[2]              -- zset: the index
local companions = { unpack(KEYS, 3) }  -- keys that live as long as the record
local name       = ARGV[1]              -- in the index
local field      = ARGV[2]

local record = include('lib/record')
local version, ttl, _, updated, was = record.meta(entry, field)
if not version then
  return { 'missing' }
end
if not was then
  return { 'unset' }
end

local now = math.floor(now_us / 1000)
redis.call('HDEL', entry, field)
redis.call('HSET', entry, '@version', record.next(version), '@updated', now)
record.renew(entry, partition, name, tonumber(ttl), now, companions, updated)
return { 'was', was }
