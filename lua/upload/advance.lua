-- upload/advance: count a range that was received behind all others.
--
-- For uploads that come in order. A range that lies in what was received is a repetition, and is
-- answered with where the upload stands; one that overlaps its end, or leaves a gap, is refused.
--
-- Said twice: once.  Work: O(1).  When full: refuses.
-- Replies  {'received', bytes, chunks, needed}
--          {'completed', bytes, chunks, needed}   this call made it whole
--          {'complete', bytes, chunks, needed}    it was whole before
--          {'unknown'}                            no such session, or its TTL ran out
--          {'closed', state}                      aborted or stored
--          {'conflict', current}                  the next range begins there
--          {'chunked'}                            it takes numbered chunks
--          {'beyond', total}                      more than declared
--          {'quota', owner, what, used, limit}   the owner would have reserved too many bytes
local entry     = KEYS[1]              -- hash: the record
local partition = KEYS[2]              -- zset: the index
local open      = KEYS[3]              -- zset: name -> when it may be dead, in ms
local facts     = KEYS[4]              -- hash: name -> bytes reserved and owner
local accounts  = KEYS[5]              -- hash: what is counted for each owner
local memos     = KEYS[6]              -- hash: name -> what it was opened with
local name      = ARGV[1]              -- in the index
local most      = tonumber(ARGV[2])    -- bytes of an owner
local offset    = tonumber(ARGV[3])    -- where the range begins
local ends      = tonumber(ARGV[4])    -- the byte behind it

local uploads = include('lib/uploads')
local session = uploads.read(entry)
if not session then
  return { 'unknown' }
elseif session.closed then
  return { 'closed', session.closed }
elseif session.count > 0 then
  return { 'chunked' }
elseif offset ~= session.bytes and ends > session.bytes or offset > session.bytes then
  return { 'conflict', session.bytes }
elseif session.total and ends > session.total then
  return { 'beyond', session.total }
end
local books = { open = open, facts = facts, accounts = accounts, memos = memos }
local lacks = uploads.lacks(books, name, session.total and 0 or ends - session.bytes, most)
if lacks then
  return lacks
end

session.bytes = math.max(session.bytes, ends)
return uploads.write(session, entry, partition, {}, books, name, math.floor(now_us / 1000))
