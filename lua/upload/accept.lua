-- upload/accept: count chunks that have arrived, each once; all of these or none.
--
-- A bitmap of accepted chunks makes the count the size of a set: order, repetition and container make no
-- difference. All are judged before the first is written, so a batch with a bad one changes nothing.
--
-- Said twice: once.  Work: O(chunks), 500 at most.  When full: refuses.
-- Replies  {'received', bytes, chunks, needed, {outcome, ...}}    needed: chunks, -1 when not known yet
--          {'completed', bytes, chunks, needed, {outcome, ...}}   this call made it whole
--          {'complete', bytes, chunks, needed, {outcome, ...}}    it was whole before
--          {'unknown'}                          no such session, or its TTL ran out
--          {'closed', state}                    aborted or stored
--          {'refused', why, place, expected}    why: range, size, conflict or offsets; place in the batch, from 0
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
local chunks    = { unpack(ARGV, 3) }  -- number, size, checksum or '', number, size, ...

local uploads = include('lib/uploads')
local chunk = include('lib/chunk')
local session = uploads.read(entry)
if not session then
  return { 'unknown' }
elseif session.closed then
  return { 'closed', session.closed }
end
local before, fresh, outcomes = session.bytes, {}, {}
for place = 1, #chunks, 3 do
  local number, size = tonumber(chunks[place]), tonumber(chunks[place + 1])
  local outcome, expected = chunk.judge(session, seen, sums, fresh, number, size, chunks[place + 2])
  if outcome ~= 'accepted' and outcome ~= 'duplicate' then
    return { 'refused', outcome, (place - 1) / 3, expected }
  end
  outcomes[#outcomes + 1] = outcome
end
local books = { open = open, facts = facts, accounts = accounts, memos = memos }
local lacks = uploads.lacks(books, name, session.total and 0 or session.bytes - before, most)
if lacks then
  return lacks
end

chunk.write(seen, sums, fresh)
local reply = uploads.write(session, entry, partition, { seen, sums }, books, name, math.floor(now_us / 1000))
reply[5] = outcomes
return reply
