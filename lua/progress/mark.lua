-- progress/mark: count a segment as done, once.
--
-- Workers retry, and two containers may finish the same segment. A bitmap of finished segments
-- makes the count the size of a set instead of a running sum, so saying it twice cannot count it
-- twice.
--
-- Said twice: once.  Work: O(1).  When full: refuses.
-- Replies  {'counted', processed, total, status}
--          {'completed', processed, total}          this call made it complete
--          {'unknown'}                              no such run, or its TTL ran out
--          {'range', total}                         segment outside 0..total-1
local track       = KEYS[1]              -- hash: the record
local partition   = KEYS[2]              -- zset: the index
local seen        = KEYS[3]              -- bitmap of finished segments
local news        = KEYS[4]              -- stream: its last entry tells watchers of a change
local completions = KEYS[5]              -- zset: name -> end of lease, in ms
local name        = ARGV[1]              -- in the index
local segment     = tonumber(ARGV[2])    -- 0-based
local lease_ms    = tonumber(ARGV[3])    -- time to confirm a completion

local progress = include('lib/progress')
local record = include('lib/record')
local processed, total, status, ttl, version = progress.read(track)
if not total or not version then
  return { 'unknown' }
end
if segment < 0 or segment >= total then
  return { 'range', total }
end

if redis.call('SETBIT', seen, segment, 1) == 1 then
  record.keep(track, partition, name, tonumber(ttl), math.floor(now_us / 1000), { seen, news })
  return { 'counted', processed, total, status }
end
local count = math.min(total, processed + 1)
return progress.count(track, partition, seen, news, completions, name, lease_ms, count)
