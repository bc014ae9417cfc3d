-- text/repair: correct the totals of a shard, if nothing happened to it since they were counted.
--
-- Said twice: once.  Work: O(1).  When full: runs.
-- Replies  {'repaired'}
--          {'changed'}              somebody used the cache meanwhile: count again
local blobs   = KEYS[1]              -- hash: name -> 8 bytes and the text
local entries = KEYS[2]              -- hash: name -> facts, and the totals
local uses    = KEYS[3]              -- zset: name -> last use, in us
local ends    = KEYS[4]              -- zset: name -> expiry, in ms
local packed  = ARGV[1]              -- the totals as they were when counting began
local bytes   = tonumber(ARGV[2])    -- as counted
local count   = tonumber(ARGV[3])    -- of entries

local facts = include('lib/facts')
local lru = include('lib/lru')
if (redis.call('HGET', entries, facts.TOTALS) or '') ~= packed then
  return { 'changed' }
end
local totals = lru.totals(packed ~= '' and packed, 0)
totals.bytes, totals.entries, totals.fresh = bytes, count, true
lru.save({ blobs = blobs, facts = entries, uses = uses, ends = ends }, totals, math.floor(now_us / 1000))
return { 'repaired' }
