-- index/count: the number of entries that a partition has now.
--
-- Retry: no-writes.  Work: O(log n).  allow-oom: yes.
-- Replies  {'entries', count}
local partition = KEYS[1]              -- zset: the index

local clock = include('lib/clock')
local now = clock.ms()
return { 'entries', redis.call('ZCOUNT', partition, '(' .. now, '+inf') }
