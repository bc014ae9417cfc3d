-- call/recall: the outcome of a call whose reply was lost.
--
-- A call and its record are written together, so the record proves that the call acted. Its absence
-- proves that the call never will, once its time has passed (from then on every copy is void) and as
-- long as a record of it would still be kept (see `lib/once`). The script records a call that never
-- acted, so that it never does, even if the clock is set back.
--
-- Retry: idempotent.  Work: O(1).  allow-oom: yes.
-- Replies  {'answered', reply}   it acted, and replied this
--          {'never'}             it did not act, and now never will
--          {'undecided', ms}     a copy may still arrive for that many ms
--          {'forgotten'}         too late to tell
local record  = KEYS[1]              -- string: number and reply of the caller's last call
local number  = ARGV[1]              -- of the call in question
local void_at = tonumber(ARGV[2])    -- server time in ms after which it is void
local kept_ms = tonumber(ARGV[3])    -- a record is kept at least this long after void_at

local KEPT_MS = 900000                 -- as in lib/once

local is_over = false    -- a later call of this caller is on record, so every copy of this call is refused
local last = redis.call('GET', record)
if last then
  local gap = string.find(last, ' ', 1, true)
  local last_number = string.sub(last, 1, gap - 1)
  if last_number == number then
    local answer = string.sub(last, gap + 1)
    if answer == '' then
      return { 'never' }
    elseif answer == '?' then
      return { 'forgotten' }
    end
    return { 'answered', cmsgpack.unpack(answer) }
  end
  is_over = tonumber(last_number) > tonumber(number)
end
local clock = include('lib/clock')
local now = clock.ms()
if now <= void_at then
  return { 'undecided', void_at - now + 1 }
end
if now > void_at + kept_ms then
  return { 'forgotten' }
end
if not is_over then
  redis.call('PEXPIRE', record, KEPT_MS)    -- never refused at the memory limit, nor are the writes behind it
  redis.call('SET', record, number .. ' ', 'PX', KEPT_MS)
end
return { 'never' }
