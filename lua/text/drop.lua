-- text/drop: remove an entry.
--
-- Said twice: once.  Work: O(log n).  When full: runs.
-- Replies  {'dropped'}
--          {'missing'}              no such entry, or expired
local blobs   = KEYS[1]              -- hash: name -> 8 bytes and the text
local entries = KEYS[2]              -- hash: name -> facts, and the totals
local uses    = KEYS[3]              -- zset: name -> last use, in us
local ends    = KEYS[4]              -- zset: name -> expiry, in ms
local name    = ARGV[1]

local facts = include('lib/facts')
local lru = include('lib/lru')
local found = redis.call('HMGET', entries, name, facts.TOTALS)
local entry, packed = found[1], found[2]
if not entry then
  redis.call('HDEL', blobs, name)    -- what an entry that is not whole may have left
  redis.call('ZREM', uses, name)
  redis.call('ZREM', ends, name)
  return { 'missing' }
end

local shard, totals = { blobs = blobs, facts = entries, uses = uses, ends = ends }, lru.totals(packed)
lru.remove(shard, totals, { name }, { entry })
if packed then
  lru.save(shard, totals)
end
if facts.over(entry, now_us / 1000) then
  return { 'missing' }
end
return { 'dropped' }
