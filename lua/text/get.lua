-- text/get: read an entry, and count it as used.
--
-- The most frequent script of a cache, so it is written out here and calls no function of a module. A text of
-- more than a few KB is read beside this script, since Lua would copy it twice; it counts only if it begins
-- with the 8 bytes told here. A copy of this call would count twice; so the engine sends the fallback in its
-- place, which reads and counts nothing. It sends that at the memory limit, too.
--
-- Retry: falls back to text/peek.  Work: O(log n + bytes).  allow-oom: no.
-- Replies  {'hit', text, metadata, us}    text '' when it is read beside; the time of this use
--          {'miss'}                    no such entry, expired, or of another file (then it is removed)
local texts    = KEYS[1]              -- hash: name -> 8 bytes and the text
local metadata = KEYS[2]              -- hash: name -> packed metadata, and the totals
local lru      = KEYS[3]              -- zset: name -> last use, in us
local expiries = KEYS[4]              -- zset: name -> expiry, in ms
local name     = ARGV[1]
local mtime    = ARGV[2]              -- of the file, as the reader knows it and as lib/text_entry packs it; '': any
local whole    = ARGV[3]              -- '1': with the text

local call, pack, unpack_struct = redis.call, struct.pack, struct.unpack
local found = call('HMGET', metadata, name, '\255')    -- lib/text_entry says what these hold
local entry, totals = found[1], found[2]
if not totals then
  return { 'miss' }
end
local time = call('TIME')
local us = time[1] * 1000000 + time[2]
local tick, all_hits, misses = unpack_struct('>ddd', totals)
local hits, expiry = 0, 0
if entry then
  hits, expiry = unpack_struct('>I4d', entry)
end
if expiry * 1000 > us and (mtime == '' or mtime == string.sub(entry, 13, 24)) then
  tick = tick < us and us or tick + 1
  entry = pack('>I4', hits + 1) .. string.sub(entry, 5)
  call('ZADD', lru, tick, name)
  call('HSET', metadata, name, entry, '\255', pack('>dd', tick, all_hits + 1) .. string.sub(totals, 17))
  return { 'hit', whole == '1' and call('HGET', texts, name) or '', entry, tick }
end

local text_shard = include('lib/text_shard')
local shard = { texts = texts, metadata = metadata, lru = lru, expiries = expiries }
local all = text_shard.totals(totals)
all.misses = misses + 1
if entry then
  text_shard.remove(shard, all, { name }, { entry })
  all.expirations = all.expirations + (expiry * 1000 <= us and 1 or 0)
end
text_shard.save(shard, all)
return { 'miss' }
