-- text/put: write an entry; evict others first, so that the budget holds at every instant.
--
-- Retry: deduplicated.  Work: O(bytes), and 136 entries removed at most.  allow-oom: no.
-- Replies  {'stored', budget}
--          {'more', budget, bytes}         entries were evicted, but not enough for so many bytes: sweep, and ask again
--          {'kept', budget}                what is there is kept: of a newer file, or not to be replaced
--          {'too_large', budget, bytes}    it takes more than the whole budget
local texts     = KEYS[1]              -- hash: name -> 8 bytes and the text
local metadata  = KEYS[2]              -- hash: name -> packed metadata, and the totals
local lru       = KEYS[3]              -- zset: name -> last use, in us
local expiries  = KEYS[4]              -- zset: name -> expiry, in ms
local name      = ARGV[1]
local blob      = ARGV[2]
local ttl_ms    = tonumber(ARGV[3])    -- lives this long from now,
local until_ms  = tonumber(ARGV[4])    -- and at most until then
local seconds   = tonumber(ARGV[5])    -- mtime of the file
local nanos     = tonumber(ARGV[6])    -- -1: none
local created   = tonumber(ARGV[7])    -- in s; 0: now
local hits      = tonumber(ARGV[8])    -- to begin with
local budget    = tonumber(ARGV[9])    -- of the shard, where none is set yet
local allocator = ARGV[10]             -- 'jemalloc' or 'libc'
local absent    = ARGV[11]             -- '1': only if there is no such entry

local text_entry = include('lib/text_entry')
local text_shard = include('lib/text_shard')
local memory = include('lib/memory')
local shard = { texts = texts, metadata = metadata, lru = lru, expiries = expiries }
local found = redis.call('HMGET', metadata, name, text_entry.TOTALS)
local old, totals, bytes = found[1], text_shard.totals(found[2], budget), memory.of_entry(#blob, #name, allocator)
local now, limit = math.floor(now_us / 1000), totals.budget - bytes
if old and not text_entry.expired(old, now) and (absent == '1' or text_entry.is_newer(old, seconds, nanos)) then
  text_shard.refuse(shard, totals, now)
  return { 'kept', totals.budget }
elseif limit < 0 then
  text_shard.refuse(shard, totals, now)
  return { 'too_large', totals.budget, bytes }
end

local expiry, was = math.min(now + ttl_ms, until_ms), old and text_entry.bytes(old) or 0
totals.tick, totals.bytes = math.max(totals.tick + 1, now_us), totals.bytes - was
redis.call('ZADD', lru, totals.tick, name)    -- may grow, so a full server refuses here; and it is no victim now
redis.call('ZADD', expiries, math.max(expiry, now + 1), name)
if totals.bytes > limit or redis.call('ZCOUNT', expiries, '-inf', now) > 0 then
  local eviction = include('lib/eviction')
  eviction.evict(shard, totals, limit, now)
end
if totals.bytes > limit then
  totals.bytes = totals.bytes + was
  if not old then
    text_shard.remove(shard, totals, { name }, {})
  end
  text_shard.save(shard, totals, now)
  return { 'more', totals.budget, bytes }
end
totals.bytes, totals.entries = totals.bytes + bytes, totals.entries + (old and 0 or 1)
redis.call('HSET', texts, name, blob)
created = created > 0 and created or now_us / 1000000
local entry = struct.pack(text_entry.FORMAT, hits, expiry, seconds, nanos, bytes, created, string.sub(blob, 1, 8))
text_shard.save(shard, totals, now, name, entry)
return { 'stored', totals.budget }
