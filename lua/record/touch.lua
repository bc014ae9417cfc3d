-- record/touch: renew the time to live of an entry, or set another.
--
-- Retry: deduplicated.  Work: O(1).  allow-oom: yes.
-- Replies  {'touched'}
--          {'missing'}            no such entry
local entry      = KEYS[1]              -- hash: the record
local partition  = KEYS[2]              -- zset: the index
local companions = { unpack(KEYS, 3) }  -- keys that live as long as the record
local name       = ARGV[1]              -- in the index
local ttl_ms     = tonumber(ARGV[2])    -- 0: the one it was put with

local record = include('lib/record')
local version, ttl = record.meta(entry)
if not version then
  return { 'missing' }
end

local lives_ms = ttl_ms > 0 and ttl_ms or tonumber(ttl)
if ttl_ms > 0 then
  redis.call('HSET', entry, '@ttl', ttl_ms)
end
record.renew(entry, partition, name, lives_ms, math.floor(now_us / 1000), companions)
return { 'touched' }
