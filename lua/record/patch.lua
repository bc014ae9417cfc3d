-- record/patch: merge fields into an entry that exists.
--
-- Only the fields named are touched, so two writers of different fields never undo each other.
--
-- Said twice: once.  Work: O(fields), 3,500 at most.  When full: refuses.
-- Replies  {'patched', version}
--          {'missing'}            no such entry; nothing was created
--          {'stale', newest}      a newer fencing token was seen
local entry      = KEYS[1]              -- hash: the record
local partition  = KEYS[2]              -- zset: the index
local guard      = KEYS[3]              -- hash: the last token of the lock in question
local companions = { unpack(KEYS, 4) }  -- what lives and dies with the record
local name       = ARGV[1]              -- in the index
local ttl_ms     = tonumber(ARGV[2])    -- 0: the one it was put with
local token      = ARGV[3]              -- fencing token, or ''
local fields     = { unpack(ARGV, 4) }  -- field, value, field, value, ...

local record = include('lib/record')
local version, ttl, fence, updated = record.meta(entry)
if not version then
  return { 'missing' }
end
local newest = record.newer(token, fence, guard)
if newest then
  return { 'stale', newest }
end

local now = math.floor(now_us / 1000)
local new_version = record.next(version)
local lives_ms = ttl_ms > 0 and ttl_ms or tonumber(ttl)
redis.call('HSET', entry, '@version', new_version, '@ttl', lives_ms, '@updated', now, unpack(fields))
if token ~= '' then
  redis.call('HSET', entry, '@fence', token)
end
record.keep(entry, partition, name, lives_ms, now, companions, ttl_ms == 0 and updated)
return { 'patched', new_version }
