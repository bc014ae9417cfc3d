-- lock/names: locks that are held now, in the order in which their leases end.
--
-- Retry: no-writes.  Work: O(log n + page), 500 names at most.  allow-oom: yes.
-- Replies  {'names', {name, ...}}
local leases = KEYS[1]              -- zset: name -> end of lease, in ms
local skip   = tonumber(ARGV[1])    -- names returned before

local clock = include('lib/clock')
local now = clock.ms()
return { 'names', redis.call('ZRANGEBYSCORE', leases, '(' .. now, '+inf', 'LIMIT', skip, 500) }
