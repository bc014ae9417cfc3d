-- lib/once: let a call act once, however often it is sent and however late a copy of it arrives.
--
-- The loader puts this behind each script of class `deduplicated`, which becomes the function `body`. A caller
-- numbers its calls and has one in flight, so one record per caller and hash slot is enough: the number
-- and the reply of its last call. A copy of that call gets the same reply; a copy of an older call finds
-- a larger number; a copy that comes after its time, perhaps after the record is gone, is void. So is one
-- that comes too early, which happens when the clock was set back: thus a call acts in the last EARLY_MS
-- before its time ends or never, and its record outlives that time by the rest of KEPT_MS at least. Only
-- that long does the absence of a record prove anything. A void copy is recorded as well, by its number
-- without a reply: then no other copy of the call acts, even if the clock is set back, and the engine goes
-- on with the next number. The record is written last, beside the effects, so both happen or neither.
--
-- The engine appends the record to KEYS, and the call's number and its time to ARGV.
--
-- Replies  {'superseded'}       a later call of this caller was answered here
--          {'void', now_ms}     its time is over, or far ahead: this copy did not act
local key_count, word_count = #KEYS, #ARGV
local record  = KEYS[key_count]                  -- string: number and reply of the last call
local number  = ARGV[word_count - 1]             -- 1, 2, 3, ... by caller
local void_at = tonumber(ARGV[word_count])       -- server time in ms after which the call is void
KEYS[key_count], ARGV[word_count - 1], ARGV[word_count] = nil, nil, nil

local EARLY_MS = 360000                          -- the longest deadline, and a minute for clocks that drift
local KEPT_MS  = '900000'                        -- text: a number would be written out at each call
local NEVER, LOST = '', '?'                      -- in place of a reply: no copy acted; a record of one may be gone

local refused    -- NEVER or LOST: a copy was void
local last = redis.call('GET', record)
if last then
  local gap = string.find(last, ' ', 1, true)
  local last_number = string.sub(last, 1, gap - 1)
  if last_number == number then
    refused = string.sub(last, gap + 1)
    if refused ~= NEVER and refused ~= LOST then
      return cmsgpack.unpack(refused)
    end
  end
  if tonumber(last_number) > tonumber(number) then
    return { 'superseded' }
  end
end
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local late = math.floor(now_us / 1000) - void_at
if not refused and (late > 0 or late < -EARLY_MS) then
  refused = (late > 0 and late <= KEPT_MS - EARLY_MS) and NEVER or LOST
end
-- A script that has written something is not refused at the limit: open with a write that cannot grow memory.
if allow_oom or refused then
  redis.call('PEXPIRE', record, KEPT_MS)
end
if refused then
  redis.call('SET', record, number .. ' ' .. refused, 'PX', KEPT_MS)
  return { 'void', math.floor(now_us / 1000) }
end
local reply = body(now_us)
redis.call('SET', record, number .. ' ' .. cmsgpack.pack(reply), 'PX', KEPT_MS)
return reply
