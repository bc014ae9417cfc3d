-- lib/progress: the state of a run, and its completion.
--
-- A completion is given to one caller. It then stands in a zset with the end of a lease, until the caller confirms
-- that it was handled; if the lease ends first, it is on offer again. `@completed` is its token: the version that it
-- was written with. `status` is stored as JSON text, like every field; an application's own status, other than these
-- three, means that the run goes on.
local record = include('lib/record')
local progress = {}

local KEPT_MS = 5356800000    -- 62 days: writes that renew a run do not know whether its completion is on offer
local PROCESSING, COMPLETED, FAILED = '"processing"', '"completed"', '"failed"'

-- Return a run as a table: its total is nil when there is no such run.
function progress.read(entry)
  local values = redis.call('HMGET', entry,
    'processed_segments', 'total_segments', 'status', '@ttl', '@version', '@generation')
  return { processed = tonumber(values[1] or 0) or 0, total = values[5] and tonumber(values[2] or nil),
    status = values[3] or PROCESSING, ttl_ms = tonumber(values[4] or nil), version = values[5], generation = values[6] }
end

-- Write a new count, notify the watchers, and return the reply: `completed` for the call that completes the run.
function progress.count(run, entry, partition, bitmap, news, completions, name, lease_ms, processed)
  local completes = processed >= run.total and run.status ~= COMPLETED and run.status ~= FAILED
  local version, now = record.next(run.version), math.floor(now_us / 1000)
  run.status = completes and COMPLETED or run.status
  redis.call('HSET', entry, 'processed_segments', processed, 'status', run.status, '@version', version, '@updated', now)
  redis.call('XADD', news, 'MAXLEN', 1, '*', 'processed', processed)
  record.renew(entry, partition, name, run.ttl_ms, now, { bitmap, news })
  if completes then
    redis.call('HSET', entry, '@completed', version)
    progress.offer(completions, name, now + lease_ms, run.ttl_ms)
    return { 'completed', processed, run.total, run.generation or '', version }
  end
  return { 'counted', processed, run.total, run.status, run.generation or '' }
end

-- Clamp the count to 0..total, if both are numbers, after an application has written one of them.
function progress.clamp(entry)
  local counted, of = unpack(redis.call('HMGET', entry, 'processed_segments', 'total_segments'))
  local count, total = tonumber(counted or nil), tonumber(of or nil)
  if count and total and (count < 0 or count > total) then
    redis.call('HSET', entry, 'processed_segments', (count < 0 or total < 0) and '0' or of)
  end
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
