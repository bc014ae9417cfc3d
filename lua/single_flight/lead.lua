-- single_flight/lead: become the caller that computes a value, or learn which one does.
--
-- Clients may make names up, so a name leaves nothing behind: its lock ends with the computation, and all values
-- of a partition share one token. A caller that will wait leaves a mark, since single_flight/end notifies marked names
-- only. It waits for news later than the last news of this reply, so that an end before its wait is not missed.
--
-- Retry: deduplicated.  Work: O(log locks).  allow-oom: no.
-- Replies  {'leads', token, now}         the token; the time in ms
--          {'failed', error}             the computation failed, and its error is kept
--          {'waits', last, container}    another caller computes it; the last news; its container
--          {'left'}                      this owner has given up for good
local lock      = KEYS[1]              -- hash: owner, fence, container, since, note; lives for the lease
local tokens    = KEYS[2]              -- hash: the last token of all values of the partition
local leases    = KEYS[3]              -- zset: name -> end of lease, in ms
local queue     = KEYS[4]              -- zset: waiter -> time in ms until which it counts; negative: it left
local news      = KEYS[5]              -- stream: its last entry is the latest news
local failure   = KEYS[6]              -- string: the error of a failed computation, while it is kept
local waiting   = KEYS[7]              -- string: there while a caller waits
local name      = ARGV[1]              -- of the lock
local owner     = ARGV[2]              -- random, made for this caller
local lease_ms  = tonumber(ARGV[3])
local waits_ms  = tonumber(ARGV[4])    -- time to count as a waiter; 0: it will not wait
local container = ARGV[5]              -- of the caller

local error = redis.call('GET', failure)
if error then
  return { 'failed', error }
elseif tonumber(redis.call('ZSCORE', queue, owner) or 0) < 0 then
  return { 'left' }
end
local holder = redis.call('HGET', lock, 'container')
if not holder then
  local locks = include('lib/locks')
  local token, now = locks.grant(lock, tokens, leases, name, owner, lease_ms, container, '')
  return { 'leads', token, now }
end
local last = redis.call('XREVRANGE', news, '+', '-', 'COUNT', 1)[1]
if waits_ms > 0 then
  redis.call('SET', waiting, '', 'PX', waits_ms)
end
return { 'waits', last and last[1] or '0', holder }
