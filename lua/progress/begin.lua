-- progress/begin: begin a run, or join the one under way.
--
-- Containers race to begin, and all go on with the same run. Other fields of the entry stay.
--
-- Retry: deduplicated.  Work: O(1).  allow-oom: no.
-- Replies  {'counted', processed, total, status, generation}
--          {'other', total}       a run with another total is under way
local entry       = KEYS[1]              -- hash: the record
local partition   = KEYS[2]              -- zset: the index
local bitmap      = KEYS[3]              -- string: a bit for each finished segment, or accepted chunk
local news        = KEYS[4]              -- stream: its last entry is the latest news
local completions = KEYS[5]              -- zset: name -> end of lease, in ms
local name        = ARGV[1]              -- in the index
local ttl_ms      = tonumber(ARGV[2])    -- lives this long after each write
local owner       = ARGV[3]              -- container that created it
local total       = tonumber(ARGV[4])
local restart     = ARGV[5]              -- '1': begin anew, also when a run is under way

local progress = include('lib/progress')
local run = progress.read(entry)
if run.total and restart ~= '1' then
  if run.total ~= total then
    return { 'other', run.total }
  end
  return { 'counted', run.processed, total, run.status, run.generation or '' }
end

local record = include('lib/record')
local now = math.floor(now_us / 1000)
local version = record.next(run.version, now_us)
redis.call('HSET', entry, 'total_segments', total, 'processed_segments', 0, 'status', '"processing"',
  '@generation', version, '@version', version, '@ttl', ttl_ms, '@updated', now)
redis.call('HSETNX', entry, '@created', now)
redis.call('HSETNX', entry, '@owner', owner)
redis.call('HDEL', entry, 'error', '@completed')
redis.call('DEL', bitmap)
redis.call('ZREM', completions, name)
redis.call('XADD', news, 'MAXLEN', 1, '*', 'processed', 0)
record.renew(entry, partition, name, ttl_ms, now, { news })
return { 'counted', 0, total, '"processing"', version }
