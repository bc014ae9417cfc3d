-- text/clear: remove all entries of a shard.
--
-- Redis frees them in the background, so this blocks nobody however many there are. The budget and
-- the counts of hits and the like stay.
--
-- Said twice: once.  Work: O(1).  When full: runs.
-- Replies  {'cleared', entries}
local blobs   = KEYS[1]              -- hash: name -> 8 bytes and the text
local entries = KEYS[2]              -- hash: name -> facts, and the totals
local uses    = KEYS[3]              -- zset: name -> last use, in us
local ends    = KEYS[4]              -- zset: name -> expiry, in ms

local facts = include('lib/facts')
local lru = include('lib/lru')
local packed = redis.call('HGET', entries, facts.TOTALS)
redis.call('UNLINK', blobs, entries, uses, ends)
if not packed then
  return { 'cleared', 0 }
end
local totals = lru.totals(packed)
local count = totals.entries
totals.bytes, totals.entries, totals.fresh = 0, 0, true
lru.save({ facts = entries }, totals, math.floor(now_us / 1000))
return { 'cleared', count }
