-- flight/announce: tell all who wait for a value that its computation has ended.
--
-- A stream wakes all waiters at once, and what comes between a waiter's look and its wait is not
-- lost, since it waits for what is newer than what it saw. Kept short and for a minute only.
--
-- Said twice: once.  Work: O(1).  When full: runs.
-- Replies  {'told'}
local news    = KEYS[1]              -- stream: how the last computations ended
local failure = KEYS[2]              -- string: how it failed, while that is remembered
local error   = ARGV[1]              -- '' when it succeeded
local kept_ms = tonumber(ARGV[2])    -- how long the failure is remembered; 0: not at all

redis.call('DEL', failure)
if error ~= '' and kept_ms > 0 then
  redis.call('SET', failure, error, 'PX', kept_ms)
end
redis.call('XADD', news, 'MAXLEN', 8, '*', 'error', error)
redis.call('PEXPIRE', news, 60000)
return { 'told' }
