-- text/get: read an entry, and count it as used.
--
-- What a cache does most, so it is written out here and calls no function of a module. A text of more
-- than a few KB is read beside this script, since Lua would copy it twice; it counts only if it begins
-- with the 8 bytes told here. A copy of this call would count twice; so the engine never sends one,
-- but the script that reads and counts nothing, also at the memory limit.
--
-- Said twice: text/peek.  Work: O(log n + bytes).  When full: refuses.
-- Replies  {'hit', blob, facts, us}    blob '' when it is read beside; the time of this use
--          {'miss'}                    no such entry, expired, or of another file (then it is dropped)
local blobs   = KEYS[1]              -- hash: name -> 8 bytes and the text
local entries = KEYS[2]              -- hash: name -> facts, and the totals
local uses    = KEYS[3]              -- zset: name -> last use, in us
local ends    = KEYS[4]              -- zset: name -> expiry, in ms
local name    = ARGV[1]
local mtime   = ARGV[2]              -- of the file, as the reader knows it and as lib/facts packs it; '': whatever
local whole   = ARGV[3]              -- '1': with the text

local call, pack, unpack_facts = redis.call, struct.pack, struct.unpack
local found = call('HMGET', entries, name, '\255')    -- lib/facts says what these hold
local entry, totals = found[1], found[2]
if not totals then
  return { 'miss' }
end
local time = call('TIME')
local us = time[1] * 1000000 + time[2]
local tick, all_hits, misses = unpack_facts('>ddd', totals)
local hits, over = 0, 0
if entry then
  hits, over = unpack_facts('>I4d', entry)
end
if over * 1000 > us and (mtime == '' or mtime == string.sub(entry, 13, 24)) then
  tick = tick < us and us or tick + 1
  entry = pack('>I4', hits + 1) .. string.sub(entry, 5)
  call('ZADD', uses, tick, name)
  call('HSET', entries, name, entry, '\255', pack('>dd', tick, all_hits + 1) .. string.sub(totals, 17))
  return { 'hit', whole == '1' and call('HGET', blobs, name) or '', entry, tick }
end

local lru = include('lib/lru')
local shard = { blobs = blobs, facts = entries, uses = uses, ends = ends }
local all = lru.totals(totals)
all.misses = misses + 1
if entry then
  lru.remove(shard, all, { name }, { entry })
  all.expirations = all.expirations + (over * 1000 <= us and 1 or 0)
end
lru.save(shard, all)
return { 'miss' }
