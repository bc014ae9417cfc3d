-- text/put: write an entry, and make the room for it first, so that the budget holds at every instant.
--
-- Said twice: once.  Work: O(bytes), and 136 entries removed at most.  When full: refuses.
-- Replies  {'stored', budget}
--          {'more', budget, bytes}         room was made, but not enough for so many: sweep, and ask again
--          {'kept', budget}                what is there stays: it is of a newer file, or not to be replaced
--          {'too_large', budget, bytes}    it takes more than the whole budget
local blobs     = KEYS[1]              -- hash: name -> 8 bytes and the text
local entries   = KEYS[2]              -- hash: name -> facts, and the totals
local uses      = KEYS[3]              -- zset: name -> last use, in us
local ends      = KEYS[4]              -- zset: name -> expiry, in ms
local name      = ARGV[1]
local blob      = ARGV[2]
local ttl_ms    = tonumber(ARGV[3])    -- lives this long from now,
local until_ms  = tonumber(ARGV[4])    -- and at most until then
local seconds   = tonumber(ARGV[5])    -- mtime of the file
local nanos     = tonumber(ARGV[6])    -- -1: none
local created   = tonumber(ARGV[7])    -- in s; 0: now
local hits      = tonumber(ARGV[8])    -- to begin with
local budget    = tonumber(ARGV[9])    -- of the shard, where none was ever said
local allocator = ARGV[10]             -- 'jemalloc' or 'libc'
local absent    = ARGV[11]             -- '1': only where nothing is

local facts = include('lib/facts')
local lru = include('lib/lru')
local size = include('lib/size')
local shard = { blobs = blobs, facts = entries, uses = uses, ends = ends }
local found = redis.call('HMGET', entries, name, facts.TOTALS)
local old, totals, bytes = found[1], lru.totals(found[2], budget), size.entry(#blob, #name, allocator)
local now, limit = math.floor(now_us / 1000), totals.budget - bytes
if old and facts.stays(old, now, seconds, nanos, absent) then
  lru.refuse(shard, totals, now)
  return { 'kept', totals.budget }
elseif limit < 0 then
  lru.refuse(shard, totals, now)
  return { 'too_large', totals.budget, bytes }
end

local expiry, was = math.min(now + ttl_ms, until_ms), old and facts.stored(old) or 0
totals.tick, totals.bytes = math.max(totals.tick + 1, now_us), totals.bytes - was
redis.call('ZADD', uses, totals.tick, name)    -- may grow, so a full server refuses here; and it is no victim now
redis.call('ZADD', ends, math.max(expiry, now + 1), name)
if totals.bytes > limit or redis.call('ZCOUNT', ends, '-inf', now) > 0 then
  local room = include('lib/room')
  room.make(shard, totals, limit, now)
end
if totals.bytes > limit then
  totals.bytes = totals.bytes + was
  if not old then
    lru.remove(shard, totals, { name }, {})
  end
  lru.save(shard, totals, now)
  return { 'more', totals.budget, bytes }
end
totals.bytes, totals.entries = totals.bytes + bytes, totals.entries + (old and 0 or 1)
redis.call('HSET', blobs, name, blob)
created = created > 0 and created or now_us / 1000000
local entry = struct.pack(facts.ENTRY, hits, expiry, seconds, nanos, bytes, created, string.sub(blob, 1, 8))
lru.save(shard, totals, now, name, entry)
return { 'stored', totals.budget }
