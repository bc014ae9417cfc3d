-- progress/advance: add to the count of finished segments, within 0 and the total.
--
-- For work whose parts have no numbers. A run that is complete stays complete.
--
-- Retry: deduplicated.  Work: O(1).  allow-oom: no.
-- Replies  {'counted', processed, total, status, generation}
--          {'completed', processed, total, generation, completion}   this call made it complete
--          {'unknown'}                              no such run, or its TTL ran out
--          {'anew'}                                 it was begun anew since the caller saw it
local entry       = KEYS[1]              -- hash: the record
local partition   = KEYS[2]              -- zset: the index
local bitmap      = KEYS[3]              -- string: a bit for each finished segment, or accepted chunk
local news        = KEYS[4]              -- stream: its last entry is the latest news
local completions = KEYS[5]              -- zset: name -> end of lease, in ms
local name        = ARGV[1]              -- in the index
local saw         = ARGV[2]              -- generation that the caller saw last, or ''
local by          = tonumber(ARGV[3])
local lease_ms    = tonumber(ARGV[4])    -- time to confirm a completion

local progress = include('lib/progress')
local generation = include('lib/generation')
local run = progress.read(entry)
if not run.total then
  return { 'unknown' }
elseif generation.earlier(saw, run.generation) then
  return { 'anew' }
elseif run.status == '"completed"' then
  return { 'counted', run.processed, run.total, run.status, run.generation or '' }
end

local count = math.max(0, math.min(run.total, run.processed + by))
return progress.count(run, entry, partition, bitmap, news, completions, name, lease_ms, count)
