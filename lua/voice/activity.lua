-- voice/activity: the accesses to a voice.
--
-- Retry: no-writes.  Work: O(log n).  allow-oom: yes.
-- Replies  {'activity', count, segments, first, last, {segment, ...}}    in us; the newest segments first
--          {'unknown'}             no access within the time to live
local voice  = KEYS[1]              -- hash: count, segments, first, last (in us), full
local recent = KEYS[2]              -- zset: segment -> last access, in us

local held = redis.call('HMGET', voice, 'count', 'segments', 'first', 'last')
if not held[1] then
  return { 'unknown' }
end
return { 'activity', held[1], held[2], held[3], held[4], redis.call('ZRANGE', recent, -20, -1) }
