-- progress/fail: mark a run as failed, with its error.
--
-- Segments that are still on their way are counted, but the run does not complete until it is begun anew.
--
-- Retry: deduplicated.  Work: O(1).  allow-oom: no.
-- Replies  {'counted', processed, total, status, generation}
--          {'unknown'}                              no such run, or its TTL ran out
--          {'anew'}                                 it was begun anew since the caller saw it
local entry       = KEYS[1]              -- hash: the record
local partition   = KEYS[2]              -- zset: the index
local bitmap      = KEYS[3]              -- string: a bit for each finished segment, or accepted chunk
local news        = KEYS[4]              -- stream: its last entry is the latest news
local completions = KEYS[5]              -- zset: name -> end of lease, in ms
local name        = ARGV[1]              -- in the index
local saw         = ARGV[2]              -- generation that the caller saw last, or ''
local reason      = ARGV[3]              -- an encoded value

local progress = include('lib/progress')
local generation = include('lib/generation')
local run = progress.read(entry)
if not run.total then
  return { 'unknown' }
elseif generation.earlier(saw, run.generation) then
  return { 'anew' }
end

local record = include('lib/record')
local now = math.floor(now_us / 1000)
redis.call('HSET', entry, 'status', '"failed"', 'error', reason, '@version', record.next(run.version), '@updated', now)
redis.call('XADD', news, 'MAXLEN', 1, '*', 'processed', run.processed)
redis.call('ZREM', completions, name)
record.renew(entry, partition, name, run.ttl_ms, now, { bitmap, news })
return { 'counted', run.processed, run.total, '"failed"', run.generation or '' }
