-- voice/range: voices by their last access, oldest first.
--
-- Retry: no-writes.  Work: O(log n + page), 500 voices.  allow-oom: yes.
-- Replies  {'voices', {name, ...}}
local voices    = KEYS[1]              -- zset: voices of the partition -> last access, in us
local oldest_ms = tonumber(ARGV[1])    -- age of the last access, at most,
local newest_ms = tonumber(ARGV[2])    -- and at least
local skip      = ARGV[3]              -- voices returned before

local clock = include('lib/clock')
local us = clock.us()
local from, to = us - oldest_ms * 1000, us - newest_ms * 1000
return { 'voices', redis.call('ZRANGEBYSCORE', voices, '(' .. string.format('%.0f', from), to, 'LIMIT', skip, 500) }
