-- text/sweep: remove what is expired, and what was used least recently, down to a limit.
--
-- For a new budget, and for a server at its memory limit. The budget is written first, so that no
-- put fills up again what is removed here.
--
-- Said twice: once.  Work: 136 entries removed at most.  When full: runs.
-- Replies  {'swept', bytes}         that is what is left
--          {'more', bytes}          not down to the limit yet: ask again
local blobs   = KEYS[1]              -- hash: name -> 8 bytes and the text
local entries = KEYS[2]              -- hash: name -> facts, and the totals
local uses    = KEYS[3]              -- zset: name -> last use, in us
local ends    = KEYS[4]              -- zset: name -> expiry, in ms
local budget  = tonumber(ARGV[1])    -- the new one; 0: as it is
local limit   = tonumber(ARGV[2])    -- come down to this many bytes

local facts = include('lib/facts')
local lru = include('lib/lru')
local shard = { blobs = blobs, facts = entries, uses = uses, ends = ends }
local totals = lru.totals(redis.call('HGET', entries, facts.TOTALS), budget)
local now = math.floor(now_us / 1000)
totals.budget = budget > 0 and budget or totals.budget
local room = include('lib/room')
local removed = room.make(shard, totals, limit, now)
if removed > 0 or budget > 0 then
  lru.save(shard, totals, now)
end
if totals.bytes > limit and totals.entries > 0 and removed > 0 then
  return { 'more', totals.bytes }
end
return { 'swept', totals.bytes }
