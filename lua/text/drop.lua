-- text/drop: remove an entry.
--
-- Retry: deduplicated.  Work: O(log n).  allow-oom: yes.
-- Replies  {'dropped'}
--          {'missing'}              no such entry, or expired
local texts    = KEYS[1]              -- hash: name -> 8 bytes and the text
local metadata = KEYS[2]              -- hash: name -> packed metadata, and the totals
local lru      = KEYS[3]              -- zset: name -> last use, in us
local expiries = KEYS[4]              -- zset: name -> expiry, in ms
local name     = ARGV[1]

local text_removal = include('lib/text_removal')
local shard = { texts = texts, metadata = metadata, lru = lru, expiries = expiries }
if not text_removal.take(shard, name, now_us / 1000) then
  return { 'missing' }
end
return { 'dropped' }
