-- claim/fail: an attempt failed; another one may follow after a while.
--
-- Said twice: once.  Work: O(fields).  When full: runs.
-- Replies  {'failed'}
--          {'stale', newest}      somebody else has taken it since
--          {'done', result}       it was confirmed before
local entry     = KEYS[1]              -- hash: the record
local partition = KEYS[2]              -- zset: the index
local lock      = KEYS[3]              -- hash: owner, fence, container, since, note; lives for the lease
local guard     = KEYS[4]              -- hash: the last token
local leases    = KEYS[5]              -- zset: name -> end of lease, in ms
local queue     = KEYS[6]              -- zset: waiter -> time in ms until which it counts
local wake      = KEYS[7]              -- list: the wake-up on its way
local name      = ARGV[1]              -- of record and lock
local owner     = ARGV[2]
local token     = ARGV[3]              -- the claim's
local ttl_ms    = tonumber(ARGV[4])    -- the record lives this long from now
local rest_ms   = tonumber(ARGV[5])    -- until it may be tried again
local fields    = { unpack(ARGV, 6) }  -- field, value, field, value, ...

fields[#fields + 1] = '@retry_at'
fields[#fields + 1] = math.floor(now_us / 1000) + rest_ms
local keys = { entry = entry, partition = partition, companions = {}, lock = lock, guard = guard, leases = leases,
  queue = queue, wake = wake }
local claim = include('lib/claim')
return claim.settle(keys, name, owner, token, ttl_ms, 'failed', fields) or { 'failed' }
