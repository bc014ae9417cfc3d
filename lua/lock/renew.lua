-- lock/renew: let a lease begin anew, if it is still the caller's.
--
-- Said twice: once.  Work: O(log locks).  When full: runs.
-- Replies  {'renewed'}
--          {'lost'}               the lease is over; perhaps somebody else holds the lock
local lock     = KEYS[1]              -- hash: owner, fence, container, since, note; lives for the lease
local guard    = KEYS[2]              -- hash: the last token
local leases   = KEYS[3]              -- zset: name -> end of lease, in ms
local name     = ARGV[1]              -- of the lock
local owner    = ARGV[2]
local lease_ms = tonumber(ARGV[3])

if redis.call('HGET', lock, 'owner') ~= owner then
  return { 'lost' }
end

local locks = include('lib/locks')
locks.extend(lock, guard, leases, name, lease_ms)
return { 'renewed' }
