-- claim/stalled: names whose lease ended without a release, oldest first.
--
-- Retry: no-writes.  Work: O(log n + page), 500 names at most.  allow-oom: yes.
-- Replies  {'stalled', {name, ...}}
local leases = KEYS[1]              -- zset: name -> end of lease, in ms
local skip   = tonumber(ARGV[1])    -- names returned before

local clock = include('lib/clock')
return { 'stalled', redis.call('ZRANGEBYSCORE', leases, '-inf', clock.ms(), 'LIMIT', skip, 500) }
