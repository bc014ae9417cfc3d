-- claim/reopen: let failed work, or work whose takers died, be tried again, at once and from the first attempt.
--
-- Retry: deduplicated.  Work: O(1).  allow-oom: yes.
-- Replies  {'reopened'}
--          {'nothing'}            never claimed, done, or held
local entry = KEYS[1]              -- hash: the record
local lock  = KEYS[2]              -- hash: owner, fence, container, since, note; lives for the lease

local state = redis.call('HGET', entry, '@claim')
if not state or state == 'done' or redis.call('EXISTS', lock) == 1 then
  return { 'nothing' }
end

redis.call('HDEL', entry, '@attempts', '@retry_at')
return { 'reopened' }
