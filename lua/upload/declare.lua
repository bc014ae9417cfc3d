-- upload/declare: say how large an upload is, when that was not known before.
--
-- Said twice: once.  Work: O(1).  When full: refuses.
-- Replies  {'received', bytes, chunks, needed}
--          {'completed', bytes, chunks, needed}   everything is there: this call made it whole
--          {'complete', bytes, chunks, needed}    it was whole before
--          {'unknown'}                            no such session, or its TTL ran out
--          {'closed', state}                      aborted or stored
--          {'other', total}                       another size was declared before
--          {'contradicted', least, most}          by what was received: it has at least, and at most, so many bytes
--          {'quota', owner, what, used, limit}   the owner would have reserved too many bytes
local entry     = KEYS[1]              -- hash: the record
local partition = KEYS[2]              -- zset: the index
local seen      = KEYS[3]              -- bitmap of accepted chunks
local sums      = KEYS[4]              -- hash: number -> checksum, where there is one
local open      = KEYS[5]              -- zset: name -> when it may be dead, in ms
local facts     = KEYS[6]              -- hash: name -> bytes reserved and owner
local accounts  = KEYS[7]              -- hash: what is counted for each owner
local memos     = KEYS[8]              -- hash: name -> what it was opened with
local name      = ARGV[1]              -- in the index
local most      = tonumber(ARGV[2])    -- bytes of an owner
local total     = tonumber(ARGV[3])

local uploads = include('lib/uploads')
local session = uploads.read(entry)
if not session then
  return { 'unknown' }
elseif session.closed then
  return { 'closed', session.closed }
elseif session.total and session.total ~= total then
  return { 'other', session.total }
end
local extent = include('lib/extent')
local least, largest = extent.bounds(session, seen)
if not session.total and (total < least or total > largest) then
  return { 'contradicted', least, largest }
end
local books = { open = open, facts = facts, accounts = accounts, memos = memos }
local lacks = uploads.lacks(books, name, session.total and 0 or total - session.bytes, most)
if lacks then
  return lacks
end

if not session.total then
  session.total = total
  redis.call('HSET', entry, 'total_size', string.format('%.0f', total))
  if session.chunk then
    redis.call('HSET', entry, 'total_chunks', uploads.chunks_of(total, session.chunk))
  end
  redis.call('HDEL', entry, '@short')
end
return uploads.write(session, entry, partition, { seen, sums }, books, name, math.floor(now_us / 1000))
