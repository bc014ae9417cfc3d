-- record/increment: add to a number in place.
--
-- Retry: deduplicated.  Work: O(1).  allow-oom: no.
-- Replies  {'counted', number}    the number now; as text if it is no whole number below 2^53
--          {'missing'}            no such entry
--          {'unset'}              the entry has no such field
--          {'no_number', value}   the field holds something else
--          {'too_large', number}  the sum would not be exact any more
--          {'stale', newest}      a newer fencing token was seen, or this one was never granted
local entry      = KEYS[1]              -- hash: the record
local partition  = KEYS[2]              -- zset: the index
local fence      = KEYS[3]              -- hash: the last token of the lock
local companions = { unpack(KEYS, 4) }  -- keys that live as long as the record
local name       = ARGV[1]              -- in the index
local ttl_ms     = tonumber(ARGV[2])    -- of an entry that is created here
local owner      = ARGV[3]              -- of an entry that is created here
local token      = ARGV[4]              -- fencing token, or ''
local field      = ARGV[5]
local by         = ARGV[6]              -- as text, whole or not
local create     = ARGV[7]              -- '1': create a missing entry or field, at 0

local record = include('lib/record')
local tokens = include('lib/tokens')
local version, ttl, latest, updated, old = record.meta(entry, field)
local newest = tokens.refuse(token, latest, fence)
if newest then
  return { 'stale', newest }
end
if not version and create ~= '1' then
  return { 'missing' }
end
if not old and create ~= '1' then
  return { 'unset' }
end
old = old or '0'
if not tonumber(old) then
  return { 'no_number', old }
end
local number = include('lib/number')
local sum = number.add(old, by)
if not sum then
  return { 'too_large', old }
end
if sum == 'whole' then
  sum = redis.call('HINCRBY', entry, field, by)
  sum = number.exact(sum) and sum or redis.call('HGET', entry, field)
else
  redis.call('HSET', entry, field, sum)
end
local now = math.floor(now_us / 1000)
local lives_ms = tonumber(ttl or ttl_ms)
redis.call('HSET', entry, '@version', record.next(version, now_us), '@updated', now)
if not version then
  redis.call('HSET', entry, '@ttl', lives_ms, '@owner', owner, '@created', now)
end
if token ~= '' then
  redis.call('HSET', entry, '@fence', token)
end
record.renew(entry, partition, name, lives_ms, now, companions, updated)
return { 'counted', sum }
