-- stats/add: count bytes and chunks that were written to a file.
--
-- Retry: deduplicated.  Work: O(1).  allow-oom: no.
-- Replies  {'counted', {field, value, ...}}    the whole record
--          {'no_number'}                       bytes or chunks are held as something else
local entry     = KEYS[1]              -- hash: the record
local partition = KEYS[2]              -- zset: the index
local name      = ARGV[1]              -- in the index
local ttl_ms    = tonumber(ARGV[2])    -- of a record that is created here
local owner     = ARGV[3]              -- of a record that is created here
local bytes     = ARGV[4]              -- to add
local chunks    = ARGV[5]              -- to add
local fields    = { unpack(ARGV, 6) }  -- of a record that is created here: field, value, ...

local record = include('lib/record')
local version, ttl, _, updated, had_bytes, had_chunks = record.meta(entry, 'bytes_written', 'chunks_written')
if version and not (string.match(had_bytes or '0', '^-?%d+$') and string.match(had_chunks or '0', '^-?%d+$')) then
  return { 'no_number' }
end

local now = math.floor(now_us / 1000)
local lives_ms = tonumber(ttl or ttl_ms)
redis.call('HSET', entry, '@version', record.next(version, now_us), '@updated', now)
if not version then
  redis.call('HSET', entry, '@ttl', lives_ms, '@owner', owner, '@created', now, unpack(fields))
end
redis.call('HINCRBY', entry, 'bytes_written', bytes)
redis.call('HINCRBY', entry, 'chunks_written', chunks)
record.renew(entry, partition, name, lives_ms, now, {}, updated)
return { 'counted', redis.call('HGETALL', entry) }
