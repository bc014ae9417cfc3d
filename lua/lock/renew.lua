-- lock/renew: extend a lease, if it is still the caller's.
--
-- Retry: deduplicated.  Work: O(log locks).  allow-oom: yes.
-- Replies  {'renewed'}
--          {'lost'}               the lease is over; another owner may hold the lock
local lock     = KEYS[1]              -- hash: owner, fence, container, since, note; lives for the lease
local fence    = KEYS[2]              -- hash: the last token of the lock
local leases   = KEYS[3]              -- zset: name -> end of lease, in ms
local name     = ARGV[1]              -- of the lock
local owner    = ARGV[2]
local lease_ms = tonumber(ARGV[3])

if redis.call('HGET', lock, 'owner') ~= owner then
  return { 'lost' }
end

local locks = include('lib/locks')
locks.extend(lock, fence, leases, name, lease_ms)
return { 'renewed' }
