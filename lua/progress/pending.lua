-- progress/pending: completions whose lease is over, oldest first.
--
-- Said twice: reads.  Work: O(log n + page), 500 names at most.  When full: runs.
-- Replies  {'pending', {name, ...}}
local completions = KEYS[1]              -- zset: name -> end of lease, in ms

local clock = include('lib/clock')
local now = clock.ms()
return { 'pending', redis.call('ZRANGEBYSCORE', completions, '-inf', now, 'LIMIT', 0, 500) }
