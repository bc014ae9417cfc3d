-- call/recall: tell what became of a call whose answer was lost.
--
-- A call and its record are written together, so the record proves that it acted. Its absence
-- proves that it never will, once the call's time has passed (from then on every copy is void)
-- and as long as a record of it would still be kept.
--
-- Said twice: reads.  Work: O(1).  When full: runs.
-- Replies  {'answered', reply}   it acted, and this is what it answered
--          {'never'}             it did not act, and now never will
--          {'undecided', ms}     a copy may still arrive for that many ms
--          {'forgotten'}         too late to tell
local record  = KEYS[1]                -- string: number and reply of the caller's last call
local number  = ARGV[1]                -- of the call in question
local void_at = tonumber(ARGV[2])      -- server time in ms after which it is void
local kept_ms = tonumber(ARGV[3])      -- a record is kept at least this long after void_at

local last = redis.call('GET', record)
if last then
  local gap = string.find(last, ' ', 1, true)
  if string.sub(last, 1, gap - 1) == number then
    return { 'answered', cmsgpack.unpack(string.sub(last, gap + 1)) }
  end
end
local clock = include('lib/clock')
local now = clock.ms()
if now <= void_at then
  return { 'undecided', void_at - now + 1 }
end
if now > void_at + kept_ms then
  return { 'forgotten' }
end
return { 'never' }
