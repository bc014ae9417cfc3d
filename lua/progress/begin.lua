-- progress/begin: start a run, or join the one that is under way.
--
-- Containers race to begin, and all go on with the same run. Fields of the entry that are not
-- about progress stay.
--
-- Said twice: once.  Work: O(1).  When full: refuses.
-- Replies  {'counted', processed, total, status}
--          {'other', total}       a run with another total is under way
local track       = KEYS[1]              -- hash: the record
local partition   = KEYS[2]              -- zset: the index
local seen        = KEYS[3]              -- bitmap of finished segments
local news        = KEYS[4]              -- stream: its last entry tells watchers of a change
local completions = KEYS[5]              -- zset: name -> end of lease, in ms
local name        = ARGV[1]              -- in the index
local ttl_ms      = tonumber(ARGV[2])    -- lives this long after each write
local owner       = ARGV[3]              -- container that created it
local total       = tonumber(ARGV[4])
local restart     = ARGV[5]              -- '1': begin anew, whatever is there

local progress = include('lib/progress')
local processed, old_total, status, _, version = progress.read(track)
if old_total and restart ~= '1' then
  if old_total ~= total then
    return { 'other', old_total }
  end
  return { 'counted', processed, total, status }
end

local record = include('lib/record')
local now = math.floor(now_us / 1000)
redis.call('HSET', track, 'total_segments', total, 'processed_segments', 0, 'status', '"processing"',
  '@version', record.next(version, now_us), '@ttl', ttl_ms, '@updated', now)
redis.call('HSETNX', track, '@created', now)
redis.call('HSETNX', track, '@owner', owner)
redis.call('HDEL', track, 'error')
redis.call('DEL', seen)
redis.call('ZREM', completions, name)
redis.call('XADD', news, 'MAXLEN', 1, '*', 'processed', 0)
record.keep(track, partition, name, ttl_ms, now, { news })
return { 'counted', 0, total, '"processing"' }
