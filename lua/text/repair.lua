-- text/repair: correct the totals of a shard, unless it has changed since they were counted.
--
-- Retry: deduplicated.  Work: O(1).  allow-oom: yes.
-- Replies  {'repaired'}
--          {'changed'}              another caller used the cache meanwhile: count again
local texts    = KEYS[1]              -- hash: name -> 8 bytes and the text
local metadata = KEYS[2]              -- hash: name -> packed metadata, and the totals
local lru      = KEYS[3]              -- zset: name -> last use, in us
local expiries = KEYS[4]              -- zset: name -> expiry, in ms
local packed   = ARGV[1]              -- the totals as they were when counting began
local bytes    = tonumber(ARGV[2])    -- as counted
local count    = tonumber(ARGV[3])    -- of entries

local text_entry = include('lib/text_entry')
local text_shard = include('lib/text_shard')
if (redis.call('HGET', metadata, text_entry.TOTALS) or '') ~= packed then
  return { 'changed' }
end
local totals = text_shard.totals(packed ~= '' and packed, 0)
totals.bytes, totals.entries, totals.fresh = bytes, count, true
local shard = { texts = texts, metadata = metadata, lru = lru, expiries = expiries }
text_shard.save(shard, totals, math.floor(now_us / 1000))
return { 'repaired' }
