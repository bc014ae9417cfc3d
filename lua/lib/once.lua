-- lib/once: let a call act once, however often it is sent and however late a copy of it arrives.
--
-- The loader puts this behind each script of class `once`, which it makes the function `body`. A caller
-- numbers its calls and has one in flight, so one record per caller and hash slot is enough: the number
-- of its last call and what was answered. A copy of that call gets the same answer; a copy of an older
-- call finds a larger number; a copy that comes after its time, perhaps after the record is gone, is
-- void. The record is written last, beside the effects, so both happen or neither.
--
-- The engine appends the record to KEYS, and the call's number and its time to ARGV.
--
-- Replies  {'superseded'}       a later call of this caller was answered here
--          {'void', now_ms}     its time was over: it never acted, and now never will
local key_count, word_count = #KEYS, #ARGV
local record  = KEYS[key_count]                  -- string: number and reply of the last call
local number  = ARGV[word_count - 1]             -- 1, 2, 3, ... by caller
local void_at = tonumber(ARGV[word_count])       -- server time in ms after which the call is void
KEYS[key_count], ARGV[word_count - 1], ARGV[word_count] = nil, nil, nil

local KEPT_MS = '900000'                         -- three times the longest deadline

local last = redis.call('GET', record)
if last then
  local gap = string.find(last, ' ', 1, true)
  local last_number = string.sub(last, 1, gap - 1)
  if last_number == number then
    return cmsgpack.unpack(string.sub(last, gap + 1))
  end
  if tonumber(last_number) > tonumber(number) then
    return { 'superseded' }
  end
end
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
if now_us > void_at * 1000 then
  return { 'void', math.floor(now_us / 1000) }
end
-- A script that has written something is not refused at the limit: open with a write that cannot grow memory.
if runs_when_full then
  redis.call('PEXPIRE', record, KEPT_MS)
end
local reply = body(now_us)
redis.call('SET', record, number .. ' ' .. cmsgpack.pack(reply), 'PX', KEPT_MS)
return reply
