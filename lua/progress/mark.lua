-- progress/mark: count a segment as done, once.
--
-- Workers retry, and two containers may finish the same segment. A bitmap of finished segments
-- makes the count the size of a set instead of a running sum, so no segment is counted twice.
-- A bitmap grows to its highest bit at once, so there is a highest segment.
--
-- Retry: deduplicated.  Work: O(1), 1 MB at most.  allow-oom: no.
-- Replies  {'counted', processed, total, status, generation}
--          {'completed', processed, total, generation, completion}   this call made it complete
--          {'unknown'}                              no such run, or its TTL ran out
--          {'anew'}                                 it was begun anew since the caller saw it
--          {'range', total}                         segment outside 0..total-1
--          {'many', most}                           segment inside, but marks end there
local entry       = KEYS[1]              -- hash: the record
local partition   = KEYS[2]              -- zset: the index
local bitmap      = KEYS[3]              -- string: a bit for each finished segment, or accepted chunk
local news        = KEYS[4]              -- stream: its last entry is the latest news
local completions = KEYS[5]              -- zset: name -> end of lease, in ms
local name        = ARGV[1]              -- in the index
local saw         = ARGV[2]              -- generation that the caller saw last, or ''
local segment     = tonumber(ARGV[3])    -- 0-based
local lease_ms    = tonumber(ARGV[4])    -- time to confirm a completion

local progress = include('lib/progress')
local record = include('lib/record')
local generation = include('lib/generation')
local MAX_SEGMENTS = 8388608    -- segments that are marked: a bitmap of 1 MB
local run = progress.read(entry)
if not run.total then
  return { 'unknown' }
elseif generation.earlier(saw, run.generation) then
  return { 'anew' }
elseif segment < 0 or segment >= run.total then
  return { 'range', run.total }
elseif segment >= MAX_SEGMENTS then
  return { 'many', MAX_SEGMENTS }
end

if redis.call('SETBIT', bitmap, segment, 1) == 1 then
  record.renew(entry, partition, name, run.ttl_ms, math.floor(now_us / 1000), { bitmap, news })
  return { 'counted', run.processed, run.total, run.status, run.generation or '' }
end
local count = math.min(run.total, run.processed + 1)
return progress.count(run, entry, partition, bitmap, news, completions, name, lease_ms, count)
