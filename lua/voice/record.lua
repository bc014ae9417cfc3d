-- voice/record: count an access to a segment of a voice.
--
-- A voice takes bounded memory: the last 512 segments are kept by name, so up to 512 are counted exactly;
-- beyond that a sketch of 12 KB at most counts, to 1 % or so.
--
-- Retry: deduplicated.  Work: O(log n).  allow-oom: no.
-- Replies  {'counted', count, segments}
local voice   = KEYS[1]              -- hash: count, segments, first, last (in us), full
local recent  = KEYS[2]              -- zset: segment -> last access, in us
local sketch  = KEYS[3]              -- hyperloglog of the segments
local track   = KEYS[4]              -- zset: voices of the track -> last access, in us
local voices  = KEYS[5]              -- zset: voices of the partition -> last access, in us
local name    = ARGV[1]              -- of track and voice
local segment = ARGV[2]
local ttl_ms  = tonumber(ARGV[3])    -- time to live of a voice after its last access

local held = redis.call('HMGET', voice, 'segments', 'last', 'full')
local segments, last, full = tonumber(held[1] or 0), tonumber(held[2] or 0), held[3]
local us = math.max(last + 1, now_us)
local text = string.format('%.0f', us)
redis.call('HSET', voice, 'last', text)
redis.call('HSETNX', voice, 'first', text)
local count = redis.call('HINCRBY', voice, 'count', 1)
redis.call('PFADD', sketch, segment)
local added = redis.call('ZADD', recent, us, segment)
if added == 1 and redis.call('ZCARD', recent) > 512 then
  redis.call('ZREMRANGEBYRANK', recent, 0, 0)
  full = '1'
  redis.call('HSET', voice, 'full', full)
end
if added == 1 then
  segments = full and math.max(segments, redis.call('PFCOUNT', sketch)) or segments + 1
  redis.call('HSET', voice, 'segments', segments)
end
local oldest = now_us - ttl_ms * 1000
for _, key in ipairs({ track, voices }) do
  redis.call('ZADD', key, us, name)
  local old = redis.call('ZRANGEBYSCORE', key, '-inf', oldest, 'LIMIT', 0, 8)
  if #old > 0 then
    redis.call('ZREM', key, unpack(old))
  end
end
for _, key in ipairs({ voice, recent, sketch, track, voices }) do
  redis.call('PEXPIRE', key, ttl_ms)
end
return { 'counted', count, segments }
