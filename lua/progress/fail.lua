-- progress/fail: note that a run failed, and why.
--
-- Segments that are still on their way go on being counted, but it completes no more until it is
-- begun anew.
--
-- Said twice: once.  Work: O(1).  When full: refuses.
-- Replies  {'counted', processed, total, status}
--          {'unknown'}                              no such run, or its TTL ran out
local track       = KEYS[1]              -- hash: the record
local partition   = KEYS[2]              -- zset: the index
local seen        = KEYS[3]              -- bitmap of finished segments
local news        = KEYS[4]              -- stream: its last entry tells watchers of a change
local completions = KEYS[5]              -- zset: name -> end of lease, in ms
local name        = ARGV[1]              -- in the index
local reason      = ARGV[2]              -- an encoded value

local progress = include('lib/progress')
local processed, total, _, ttl, version = progress.read(track)
if not total or not version then
  return { 'unknown' }
end

local record = include('lib/record')
local now = math.floor(now_us / 1000)
redis.call('HSET', track, 'status', '"failed"', 'error', reason, '@version', record.next(version), '@updated', now)
redis.call('XADD', news, 'MAXLEN', 1, '*', 'processed', processed)
redis.call('ZREM', completions, name)
record.keep(track, partition, name, tonumber(ttl), now, { seen, news })
return { 'counted', processed, total, '"failed"' }
