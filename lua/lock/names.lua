-- lock/names: the locks that are held now, first the one whose lease ends first.
--
-- Said twice: reads.  Work: O(log n + page), 500 names at most.  When full: runs.
-- Replies  {'names', {name, ...}}
local leases = KEYS[1]              -- zset: name -> end of lease, in ms
local skip   = tonumber(ARGV[1])    -- names told before

local clock = include('lib/clock')
local now = clock.ms()
return { 'names', redis.call('ZRANGEBYSCORE', leases, '(' .. now, '+inf', 'LIMIT', skip, 500) }
