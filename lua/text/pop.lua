-- text/pop: remove an entry, and say what it was.
--
-- Said twice: once.  Work: O(log n + bytes).  When full: runs.
-- Replies  {'hit', blob, facts, us}    the time of its last use
--          {'miss'}                    no such entry, or expired
local blobs   = KEYS[1]              -- hash: name -> 8 bytes and the text
local entries = KEYS[2]              -- hash: name -> facts, and the totals
local uses    = KEYS[3]              -- zset: name -> last use, in us
local ends    = KEYS[4]              -- zset: name -> expiry, in ms
local name    = ARGV[1]

local facts = include('lib/facts')
local lru = include('lib/lru')
local found = redis.call('HMGET', entries, name, facts.TOTALS)
local entry, packed = found[1], found[2]
if not entry or not packed then
  return { 'miss' }
end

local shard, totals = { blobs = blobs, facts = entries, uses = uses, ends = ends }, lru.totals(packed)
local blob, used = redis.call('HGET', blobs, name), tonumber(redis.call('ZSCORE', uses, name))
lru.remove(shard, totals, { name }, { entry })
lru.save(shard, totals)
if facts.over(entry, now_us / 1000) then
  return { 'miss' }
end
return { 'hit', blob, entry, used }
