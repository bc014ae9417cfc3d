-- text/stats: what a shard holds, and what was done with it.
--
-- Said twice: reads.  Work: O(log n).  When full: runs.
-- Replies  {'totals', live, packed}    entries that are not expired; tick, hits, misses, bytes, entries, ...
--          {'empty'}                   nothing was ever put, or it is days ago
local entries = KEYS[1]              -- hash: name -> facts, and the totals
local ends    = KEYS[2]              -- zset: name -> expiry, in ms

local facts = include('lib/facts')
local packed = redis.call('HGET', entries, facts.TOTALS)
if not packed then
  return { 'empty' }
end
local clock = include('lib/clock')
return { 'totals', redis.call('ZCOUNT', ends, '(' .. clock.ms(), '+inf'), packed }
