-- progress/patch: merge fields into the entry of a run, as an application does, and keep the count from 0 to the total.
--
-- A count out of bounds is cut, as `advance` does. A patch completes no run: marks and advances do.
--
-- Retry: deduplicated.  Work: O(fields), 3,500 at most.  allow-oom: no.
-- Replies  {'patched', version}
--          {'was', value}         only if absent, and the first field was set before; nothing changed
--          {'missing'}            no such entry; nothing was created
--          {'stale', newest}      a newer fencing token was seen
local entry      = KEYS[1]              -- hash: the record
local partition  = KEYS[2]              -- zset: the index
local fence      = KEYS[3]              -- hash: the last token of the lock
local companions = { unpack(KEYS, 4) }  -- keys that live as long as the record
local name       = ARGV[1]              -- in the index
local ttl_ms     = tonumber(ARGV[2])    -- 0: the one it was put with
local token      = ARGV[3]              -- fencing token, or ''
local absent     = ARGV[4]              -- '1': only if the entry has none such
local fields     = { unpack(ARGV, 5) }  -- field, value, field, value, ...

local record = include('lib/record')
local tokens = include('lib/tokens')
local progress = include('lib/progress')
local version, ttl, latest, updated, was = record.meta(entry, fields[1])
if not version then
  return { 'missing' }
end
local newest = tokens.refuse(token, latest, fence)
if newest then
  return { 'stale', newest }
elseif absent == '1' and was then
  return { 'was', was }
end

local now = math.floor(now_us / 1000)
local new_version = record.next(version)
local lives_ms = ttl_ms > 0 and ttl_ms or tonumber(ttl)
redis.call('HSET', entry, '@version', new_version, '@ttl', lives_ms, '@updated', now, unpack(fields))
if token ~= '' then
  redis.call('HSET', entry, '@fence', token)
end
progress.clamp(entry)
record.renew(entry, partition, name, lives_ms, now, companions, ttl_ms == 0 and updated)
return { 'patched', new_version }
