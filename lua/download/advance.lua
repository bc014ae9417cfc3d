-- download/advance: note that a range of bytes was sent.
--
-- One that is finished stays as it is: what arrives late changes nothing any more.
--
-- Said twice: once.  Work: O(ranges), 512 at most.  When full: refuses.
-- Replies  {'active', sent, offset, total, rate}     offset: all bytes before it were sent; total: -1 unknown
--          {'finished', sent, offset, total, rate}
--          {'unknown'}                               no such download, or its TTL ran out
--          {'beyond', total}                         it has no such bytes
--          {'scattered', most}                       too many ranges with gaps between them
local entry     = KEYS[1]               -- hash: the record
local partition = KEYS[2]               -- zset: the index
local open      = KEYS[3]               -- zset: name -> when it may be dead, in ms
local facts     = KEYS[4]               -- hash: name -> bytes reserved and owner
local accounts  = KEYS[5]               -- hash: what is counted for each owner
local name      = ARGV[1]               -- in the index
local first     = tonumber(ARGV[2])     -- byte of the range
local ends      = tonumber(ARGV[3])     -- the byte behind it

local downloads = include('lib/downloads')
local ranges = include('lib/ranges')
local now = math.floor(now_us / 1000)
local found = downloads.read(entry)
if not found then
  return { 'unknown' }
elseif found.finished then
  return downloads.tell(found, now)
elseif found.total and ends > found.total then
  return { 'beyond', found.total }
end
found.ranges, found.count, found.sent, found.offset = ranges.add(found.ranges, first, ends)
if found.count > ranges.MOST then
  return { 'scattered', ranges.MOST }
end

downloads.write(found, entry, partition, name, now)
local books = { open = open, facts = facts, accounts = accounts }
local ledger = include('lib/ledger')
ledger.keep(books, found.ttl_ms)
return downloads.tell(found, now)
