-- progress/claim: take over a completion that its first receiver never confirmed.
--
-- Said twice: once.  Work: O(log n).  When full: runs.
-- Replies  {'completed', processed, total}    it is the caller's now, for a lease
--          {'nothing'}                        not complete, confirmed, or in somebody's lease
local track       = KEYS[1]              -- hash: the record
local completions = KEYS[2]              -- zset: name -> end of lease, in ms
local name        = ARGV[1]
local lease_ms    = tonumber(ARGV[2])    -- time to confirm

local progress = include('lib/progress')
local lease_end = tonumber(redis.call('ZSCORE', completions, name) or nil)
local now = math.floor(now_us / 1000)
if not lease_end or lease_end > now then
  return { 'nothing' }
end
local processed, total, status, ttl = progress.read(track)
if not total or status ~= '"completed"' then
  redis.call('ZREM', completions, name)    -- deleted, or written over, since
  return { 'nothing' }
end

progress.offer(completions, name, now + lease_ms, tonumber(ttl))
return { 'completed', processed, total }
