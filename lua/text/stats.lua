-- text/stats: the totals of a shard.
--
-- Retry: no-writes.  Work: O(log n).  allow-oom: yes.
-- Replies  {'totals', live, packed}    entries that are not expired; tick, hits, misses, bytes, entries, ...
--          {'empty'}                   nothing was ever put, or it is days ago
local metadata = KEYS[1]              -- hash: name -> packed metadata, and the totals
local expiries = KEYS[2]              -- zset: name -> expiry, in ms

local text_entry = include('lib/text_entry')
local packed = redis.call('HGET', metadata, text_entry.TOTALS)
if not packed then
  return { 'empty' }
end
local clock = include('lib/clock')
return { 'totals', redis.call('ZCOUNT', expiries, '(' .. clock.ms(), '+inf'), packed }
