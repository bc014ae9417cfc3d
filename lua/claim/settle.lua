-- claim/settle: write the outcome of a claim, and free its lock: done, failed, or released to be taken again at once.
--
-- Done work never runs again while its record lives. Failed work may be taken again after a rest. Released work was
-- interrupted, or its taker had no reply to its take: the attempt does not count, and a record that was deleted
-- meanwhile is not brought back.
--
-- Retry: deduplicated.  Work: O(fields).  allow-oom: yes.
-- Replies  {'settled'}
--          {'stale', newest}      another taker has taken it since
--          {'done', result}       it was done before
local entry     = KEYS[1]              -- hash: the record
local partition = KEYS[2]              -- zset: the index
local lock      = KEYS[3]              -- hash: owner, fence, container, since, note; lives for the lease
local fence     = KEYS[4]              -- hash: the last token of the lock
local leases    = KEYS[5]              -- zset: name -> end of lease, in ms
local queue     = KEYS[6]              -- zset: waiter -> time in ms until which it counts; negative: it left
local wake      = KEYS[7]              -- list: the wake-up on its way
local name      = ARGV[1]              -- of record and lock
local owner     = ARGV[2]              -- of the lock
local token     = ARGV[3]              -- the claim's; '': the one that the owner holds
local state     = ARGV[4]              -- 'done', 'failed' or 'released'
local rest_ms   = tonumber(ARGV[5])    -- failed: until it may be tried again
local ttl_ms    = tonumber(ARGV[6])    -- the record lives this long from now
local fields    = { unpack(ARGV, 7) }  -- field, value, field, value, ...

local keys = { entry = entry, partition = partition, companions = {}, lock = lock, fence = fence, leases = leases,
  queue = queue, wake = wake }
local claim_end = include('lib/claim_end')
return claim_end.settle(keys, name, owner, token, ttl_ms, state, rest_ms, fields) or { 'settled' }
