-- text/clear: remove all entries of a shard.
--
-- Redis frees them in the background, so this blocks no caller however many there are. The budget and
-- the counts of hits and the like stay.
--
-- Retry: deduplicated.  Work: O(1).  allow-oom: yes.
-- Replies  {'cleared', entries}
local texts    = KEYS[1]              -- hash: name -> 8 bytes and the text
local metadata = KEYS[2]              -- hash: name -> packed metadata, and the totals
local lru      = KEYS[3]              -- zset: name -> last use, in us
local expiries = KEYS[4]              -- zset: name -> expiry, in ms

local text_entry = include('lib/text_entry')
local text_shard = include('lib/text_shard')
local packed = redis.call('HGET', metadata, text_entry.TOTALS)
redis.call('UNLINK', texts, metadata, lru, expiries)
if not packed then
  return { 'cleared', 0 }
end
local totals = text_shard.totals(packed)
local count = totals.entries
totals.bytes, totals.entries, totals.fresh = 0, 0, true
text_shard.save({ metadata = metadata }, totals, math.floor(now_us / 1000))
return { 'cleared', count }
