-- text/sweep: remove expired entries, then the least recently used ones, down to a limit.
--
-- For a new budget, and for a server at its memory limit. The budget is written first, so that no
-- put refills the shard meanwhile.
--
-- Retry: deduplicated.  Work: 136 entries removed at most.  allow-oom: yes.
-- Replies  {'swept', bytes}         bytes that are left
--          {'more', bytes}          not down to the limit yet: call again
local texts    = KEYS[1]              -- hash: name -> 8 bytes and the text
local metadata = KEYS[2]              -- hash: name -> packed metadata, and the totals
local lru      = KEYS[3]              -- zset: name -> last use, in us
local expiries = KEYS[4]              -- zset: name -> expiry, in ms
local budget   = tonumber(ARGV[1])    -- the new one; 0: as it is
local limit    = tonumber(ARGV[2])    -- come down to this many bytes

local text_entry = include('lib/text_entry')
local text_shard = include('lib/text_shard')
local shard = { texts = texts, metadata = metadata, lru = lru, expiries = expiries }
local totals = text_shard.totals(redis.call('HGET', metadata, text_entry.TOTALS), budget)
local now = math.floor(now_us / 1000)
totals.budget = budget > 0 and budget or totals.budget
local eviction = include('lib/eviction')
local removed = eviction.evict(shard, totals, limit, now)
if removed > 0 or budget > 0 then
  text_shard.save(shard, totals, now)
end
if totals.bytes > limit and totals.entries > 0 and removed > 0 then
  return { 'more', totals.bytes }
end
return { 'swept', totals.bytes }
