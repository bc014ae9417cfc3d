-- lib/progress: the state of one run, and the moment in which it is complete.
--
-- Completion is an edge, given to one caller. It then stands in a zset with the end of a lease,
-- until somebody confirms that it was dealt with; when the lease is over first, it is on offer
-- again. `status` is stored as JSON text, like every field; what an application writes there
-- itself, other than these three, means that the run goes on.
local record = include('lib/record')
local progress = {}

local KEPT_MS = 5356800000    -- 62 days: writes renew a run, and do not know whether its completion is on offer
local PROCESSING, COMPLETED, FAILED = '"processing"', '"completed"', '"failed"'

-- Return processed, total (nil when there is no such run), status, the record's ttl and version.
function progress.read(track)
  local values = redis.call('HMGET', track, 'processed_segments', 'total_segments', 'status', '@ttl', '@version')
  return tonumber(values[1] or 0) or 0, tonumber(values[2] or nil), values[3] or PROCESSING, values[4], values[5]
end

-- Write a new count, tell the watchers, and reply: `completed` to the call that makes it whole.
function progress.count(track, partition, seen, news, completions, name, lease_ms, processed)
  local _, total, status, ttl, version = progress.read(track)
  local completes = processed >= total and status ~= COMPLETED and status ~= FAILED
  local now = math.floor(now_us / 1000)
  local ttl_ms = tonumber(ttl)
  if completes then
    status = COMPLETED
  end
  redis.call('HSET', track, 'processed_segments', processed, 'status', status,
    '@version', record.next(version), '@updated', now)
  redis.call('XADD', news, 'MAXLEN', 1, '*', 'processed', processed)
  record.keep(track, partition, name, ttl_ms, now, { seen, news })
  if completes then
    progress.offer(completions, name, now + lease_ms, ttl_ms)
    return { 'completed', processed, total }
  end
  return { 'counted', processed, total, status }
end

-- Give a completion to one caller until `lease_end`.
function progress.offer(completions, name, lease_end, ttl_ms)
  redis.call('ZADD', completions, lease_end, name)
  local kept_ms = math.max(KEPT_MS, 2 * ttl_ms)
  if redis.call('PTTL', completions) < kept_ms / 2 then
    redis.call('PEXPIRE', completions, kept_ms)
  end
end

return progress
