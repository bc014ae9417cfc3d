-- claim/stalled: names whose lease ended and was not released, oldest first.
--
-- Said twice: reads.  Work: O(log n + page), 500 names at most.  When full: runs.
-- Replies  {'stalled', {name, ...}}
local leases = KEYS[1]              -- zset: name -> end of lease, in ms
local skip   = tonumber(ARGV[1])    -- names told before

local clock = include('lib/clock')
return { 'stalled', redis.call('ZRANGEBYSCORE', leases, '-inf', clock.ms(), 'LIMIT', skip, 500) }
