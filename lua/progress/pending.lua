-- progress/pending: completions whose lease is over, oldest first.
--
-- Retry: no-writes.  Work: O(log n + page), 500 names at most.  allow-oom: yes.
-- Replies  {'pending', {name, ...}}
local completions = KEYS[1]              -- zset: name -> end of lease, in ms

local clock = include('lib/clock')
local now = clock.ms()
return { 'pending', redis.call('ZRANGEBYSCORE', completions, '-inf', now, 'LIMIT', 0, 500) }
