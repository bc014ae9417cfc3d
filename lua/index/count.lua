-- index/count: how many entries a partition has now.
--
-- Said twice: reads.  Work: O(log n).  When full: runs.
-- Replies  {'entries', count}
local partition = KEYS[1]              -- zset: the index

local now = include('lib/clock').ms()
return { 'entries', redis.call('ZCOUNT', partition, '(' .. now, '+inf') }
