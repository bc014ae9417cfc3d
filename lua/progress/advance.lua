-- progress/advance: add to the count of finished segments, within 0 and the total.
--
-- For work whose parts have no numbers. A run that is complete stays complete.
--
-- Said twice: once.  Work: O(1).  When full: refuses.
-- Replies  {'counted', processed, total, status}
--          {'completed', processed, total}          this call made it complete
--          {'unknown'}                              no such run, or its TTL ran out
local track       = KEYS[1]              -- hash: the record
local partition   = KEYS[2]              -- zset: the index
local seen        = KEYS[3]              -- bitmap of finished segments
local news        = KEYS[4]              -- stream: its last entry tells watchers of a change
local completions = KEYS[5]              -- zset: name -> end of lease, in ms
local name        = ARGV[1]              -- in the index
local by          = tonumber(ARGV[2])
local lease_ms    = tonumber(ARGV[3])    -- time to confirm a completion

local progress = include('lib/progress')
local processed, total, status, _, version = progress.read(track)
if not total or not version then
  return { 'unknown' }
end
if status == '"completed"' then
  return { 'counted', processed, total, status }
end

local count = math.max(0, math.min(total, processed + by))
return progress.count(track, partition, seen, news, completions, name, lease_ms, count)
