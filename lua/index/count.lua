-- index/count: how many entries a partition has now.
--
-- Said twice: reads.  Work: O(log n).  When full: runs.
-- Replies  {'entries', count}
local partition = KEYS[1]              -- zset: the index

local clock = include('lib/clock')
local now = clock.ms()
return { 'entries', redis.call('ZCOUNT', partition, '(' .. now, '+inf') }
