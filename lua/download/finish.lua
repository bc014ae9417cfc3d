-- download/finish: a download is over, whole or not, and counts for its owner no more.
--
-- Said twice: once.  Work: O(ranges), 512 at most.  When full: runs.
-- Replies  {'finished', sent, offset, total, rate}   offset: all bytes before it were sent; total: -1 unknown
--          {'unknown'}                               no such download, or its TTL ran out
local entry     = KEYS[1]               -- hash: the record
local partition = KEYS[2]               -- zset: the index
local open      = KEYS[3]               -- zset: name -> when it may be dead, in ms
local facts     = KEYS[4]               -- hash: name -> bytes reserved and owner
local accounts  = KEYS[5]               -- hash: what is counted for each owner
local name      = ARGV[1]               -- in the index

local downloads = include('lib/downloads')
local now = math.floor(now_us / 1000)
local found = downloads.read(entry)
if not found then
  return { 'unknown' }
end

if not found.finished then
  found.finished = true
  downloads.write(found, entry, partition, name, now)
  local burial = include('lib/burial')
  burial.forget({ open = open, facts = facts, accounts = accounts }, name)
end
return downloads.tell(found, now)
