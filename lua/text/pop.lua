-- text/pop: remove an entry, and return it.
--
-- Retry: deduplicated.  Work: O(log n + bytes).  allow-oom: yes.
-- Replies  {'hit', text, metadata, us}    the time of its last use
--          {'miss'}                    no such entry, or expired, or not whole
local texts    = KEYS[1]              -- hash: name -> 8 bytes and the text
local metadata = KEYS[2]              -- hash: name -> packed metadata, and the totals
local lru      = KEYS[3]              -- zset: name -> last use, in us
local expiries = KEYS[4]              -- zset: name -> expiry, in ms
local name     = ARGV[1]

local text_removal = include('lib/text_removal')
local shard = { texts = texts, metadata = metadata, lru = lru, expiries = expiries }
local text, used = redis.call('HGET', texts, name), tonumber(redis.call('ZSCORE', lru, name) or nil)
local entry = text_removal.take(shard, name, now_us / 1000)
if not (entry and text and used) then
  return { 'miss' }
end
return { 'hit', text, entry, used }
