-- text/touch: set the time to live of an entry.
--
-- Retry: deduplicated.  Work: O(log n).  allow-oom: yes.
-- Replies  {'touched'}
--          {'missing'}              no such entry, or expired
local metadata = KEYS[1]              -- hash: name -> packed metadata, and the totals
local expiries = KEYS[2]              -- zset: name -> expiry, in ms
local name     = ARGV[1]
local ttl_ms   = tonumber(ARGV[2])    -- lives this long from now; at most a day, as every entry

local text_entry = include('lib/text_entry')
local entry = redis.call('HGET', metadata, name)
local now = math.floor(now_us / 1000)
if not entry or text_entry.expired(entry, now) then
  return { 'missing' }
end

redis.call('ZADD', expiries, now + ttl_ms, name)
redis.call('HSET', metadata, name, string.sub(entry, 1, 4) .. struct.pack('>d', now + ttl_ms) .. string.sub(entry, 13))
return { 'touched' }
