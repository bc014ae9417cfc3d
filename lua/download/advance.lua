-- download/advance: count a range of bytes that was sent.
--
-- A finished download stays as it is: a late range changes nothing.
--
-- Retry: deduplicated.  Work: O(ranges), 512 at most.  allow-oom: no.
-- Replies  {'active', sent, offset, total, rate, generation}     offset: where to resume; total: -1 unknown
--          {'finished', sent, offset, total, rate, generation}
--          {'anew'}                                  it was begun anew since the caller saw it
--          {'unknown'}                               no such download, or its TTL ran out
--          {'beyond', total}                         it has no such bytes
--          {'scattered', most}                       too many ranges with gaps between them
local entry     = KEYS[1]              -- hash: the record
local partition = KEYS[2]              -- zset: the index
local open      = KEYS[3]              -- zset: name -> when it may be dead, in ms
local reserved  = KEYS[4]              -- hash: name -> bytes reserved and owner
local accounts  = KEYS[5]              -- hash: the counts of each owner
local name      = ARGV[1]              -- in the index
local saw       = ARGV[2]              -- generation that the caller saw last, or ''
local first     = tonumber(ARGV[3])    -- byte of the range
local ends      = tonumber(ARGV[4])    -- the byte behind it

local downloads = include('lib/downloads')
local generation = include('lib/generation')
local ranges = include('lib/ranges')
local now = math.floor(now_us / 1000)
local found = downloads.read(entry)
if not found then
  return { 'unknown' }
elseif generation.earlier(saw, found.generation) then
  return { 'anew' }
elseif found.finished then
  return downloads.reply(found, now)
elseif found.total and ends > found.total then
  return { 'beyond', found.total }
end
found.ranges, found.count, found.sent, found.offset = ranges.add(found.ranges, first, ends)
if found.count > ranges.MAX_RANGES then
  return { 'scattered', ranges.MAX_RANGES }
end

downloads.write(found, entry, partition, name, now)
local keys = { open = open, reserved = reserved, accounts = accounts }
local quota = include('lib/quota')
quota.renew(keys, found.ttl_ms)
return downloads.reply(found, now)
