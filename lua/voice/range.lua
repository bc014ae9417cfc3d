-- voice/range: voices by their last access, the one of longest ago first.
--
-- Said twice: reads.  Work: O(log n + page), 500 voices.  When full: runs.
-- Replies  {'voices', {name, ...}}
local voices    = KEYS[1]              -- zset: name -> last access, in us
local oldest_ms = tonumber(ARGV[1])    -- accessed at most so long ago,
local newest_ms = tonumber(ARGV[2])    -- and at least so long
local skip      = ARGV[3]              -- so many were told before

local clock = include('lib/clock')
local us = clock.us()
local from, to = us - oldest_ms * 1000, us - newest_ms * 1000
return { 'voices', redis.call('ZRANGEBYSCORE', voices, '(' .. string.format('%.0f', from), to, 'LIMIT', skip, 500) }
