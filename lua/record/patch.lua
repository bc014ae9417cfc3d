-- record/patch: merge fields into an entry that exists.
--
-- Only the fields named are touched, so two writers of different fields never undo each other.
--
-- Retry: deduplicated.  Work: O(fields), 3,500 at most.  allow-oom: no.
-- Replies  {'patched', version}
--          {'missing'}            no such entry; nothing was created
--          {'stale', newest}      a newer fencing token was seen, or this one was never granted
local entry      = KEYS[1]              -- hash: the record
local partition  = KEYS[2]              -- zset: the index
local fence      = KEYS[3]              -- hash: the last token of the lock
local companions = { unpack(KEYS, 4) }  -- keys that live as long as the record
local name       = ARGV[1]              -- in the index
local ttl_ms     = tonumber(ARGV[2])    -- 0: the one it was put with
local token      = ARGV[3]              -- fencing token, or ''
local fields     = { unpack(ARGV, 4) }  -- field, value, field, value, ...

local record = include('lib/record')
local tokens = include('lib/tokens')
local version, ttl, latest, updated = record.meta(entry)
if not version then
  return { 'missing' }
end
local newest = tokens.refuse(token, latest, fence)
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
record.renew(entry, partition, name, lives_ms, now, companions, ttl_ms == 0 and updated)
return { 'patched', new_version }
