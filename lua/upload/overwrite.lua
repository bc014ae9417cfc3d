-- upload/overwrite: write an upload whole, as old code does, and lose nothing of what has arrived.
--
-- Such code reads a dict, changes it, and puts it back. Chunks may have been counted in between, so once
-- any was counted here, the counts are what they are; and its state stays whatever is put.
--
-- Said twice: once.  Work: O(fields), 3,500 at most.  When full: refuses.
-- Replies  {'written', version}
--          {'changed'}            the version is not the expected one any more
--          {'stale', newest}      a newer fencing token was seen
local entry     = KEYS[1]              -- hash: the record
local partition = KEYS[2]              -- zset: the index
local guard     = KEYS[3]              -- hash: the last token of the lock in question
local seen      = KEYS[4]              -- bitmap of accepted chunks
local sums      = KEYS[5]              -- hash: number -> checksum, where there is one
local name      = ARGV[1]              -- in the index
local ttl_ms    = tonumber(ARGV[2])    -- lives this long after each write
local owner     = ARGV[3]              -- container that creates it
local token     = ARGV[4]              -- fencing token, or ''
local expected  = ARGV[5]              -- '' anything, or a version
local fields    = { unpack(ARGV, 6) }  -- field, value, field, value, ...

local record = include('lib/record')
local version, _, fence = record.meta(entry)
local newest = record.newer(token, fence, guard)
if newest then
  return { 'stale', newest }
end
if expected ~= '' and expected ~= version then
  return { 'changed' }
end

local now = math.floor(now_us / 1000)
local next_version = record.next(version, now_us)
local counts = {}
for _, field in ipairs({ 'bytes_received', 'chunks_received', 'total_size', 'total_chunks', 'chunk_size' }) do
  counts[field] = true
end
local counted = redis.call('EXISTS', seen) == 1
redis.call('HSET', entry, '@version', next_version, '@ttl', ttl_ms, '@updated', now)
redis.call('HSETNX', entry, '@created', now)
redis.call('HSETNX', entry, '@owner', owner)
for _, field in ipairs(redis.call('HKEYS', entry)) do
  if not string.find(field, '^@[^@]') and not (counted and counts[field]) then
    redis.call('HDEL', entry, field)
  end
end
for place = 1, #fields, 2 do
  if not (counted and counts[fields[place]]) then
    redis.call('HSET', entry, fields[place], fields[place + 1])
  end
end
if token ~= '' then
  redis.call('HSET', entry, '@fence', token)
end
record.keep(entry, partition, name, ttl_ms, now, { seen, sums })
return { 'written', next_version }
