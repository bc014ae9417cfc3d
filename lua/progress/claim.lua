-- progress/claim: take over a completion that its first receiver did not confirm.
--
-- Retry: deduplicated.  Work: O(log n).  allow-oom: yes.
-- Replies  {'completed', processed, total, generation, completion}    the caller's now, for a lease
--          {'nothing'}                        not complete, confirmed, or in another caller's lease
local entry       = KEYS[1]              -- hash: the record
local completions = KEYS[2]              -- zset: name -> end of lease, in ms
local name        = ARGV[1]
local lease_ms    = tonumber(ARGV[2])    -- time to confirm

local progress = include('lib/progress')
local lease_end = tonumber(redis.call('ZSCORE', completions, name) or nil)
local now = math.floor(now_us / 1000)
if not lease_end or lease_end > now then
  return { 'nothing' }
end
local run = progress.read(entry)
if not run.total or run.status ~= '"completed"' then
  redis.call('ZREM', completions, name)    -- deleted, or written over, since
  return { 'nothing' }
end

progress.offer(completions, name, now + lease_ms, run.ttl_ms)
return { 'completed', run.processed, run.total, run.generation or '', redis.call('HGET', entry, '@completed') or '0' }
