-- text/touch: set the time that an entry has left.
--
-- Said twice: once.  Work: O(log n).  When full: runs.
-- Replies  {'touched'}
--          {'missing'}              no such entry, or expired
local entries = KEYS[1]              -- hash: name -> facts, and the totals
local ends    = KEYS[2]              -- zset: name -> expiry, in ms
local name    = ARGV[1]
local ttl_ms  = tonumber(ARGV[2])    -- lives this long from now; at most a day, as every entry

local facts = include('lib/facts')
local entry = redis.call('HGET', entries, name)
local now = math.floor(now_us / 1000)
if not entry or facts.over(entry, now) then
  return { 'missing' }
end

redis.call('ZADD', ends, now + ttl_ms, name)
redis.call('HSET', entries, name, string.sub(entry, 1, 4) .. struct.pack('>d', now + ttl_ms) .. string.sub(entry, 13))
return { 'touched' }
