-- upload/accept: count chunks that have arrived, each once; all of a batch or none.
--
-- A bitmap of accepted chunks makes the count the size of a set: order, repetition and container make no
-- difference. All are checked before the first is written, so a batch with a bad one changes nothing.
--
-- Retry: deduplicated.  Work: O(chunks), 500 at most.  allow-oom: no.
-- Replies  {'received', bytes, chunks, needed, generation, {outcome, ...}}    needed: chunks, -1 when not known yet
--          {'completed', bytes, chunks, needed, generation, {outcome, ...}}   this call made it whole
--          {'complete', bytes, chunks, needed, generation, {outcome, ...}}    it was whole before
--          {'anew'}                               it was begun anew since the caller saw it
--          {'unknown'}                          no such session, or its TTL ran out
--          {'closed', state}                    aborted or stored
--          {'refused', why, place, expected}    why: range, size, conflict or offsets; place in the batch, from 0
--          {'quota', owner, what, used, limit}   more bytes than the owner may reserve
local entry     = KEYS[1]              -- hash: the record
local partition = KEYS[2]              -- zset: the index
local bitmap    = KEYS[3]              -- string: a bit for each finished segment, or accepted chunk
local checksums = KEYS[4]              -- hash: number -> checksum, where there is one
local open      = KEYS[5]              -- zset: name -> when it may be dead, in ms
local reserved  = KEYS[6]              -- hash: name -> bytes reserved and owner
local accounts  = KEYS[7]              -- hash: the counts of each owner
local snapshots = KEYS[8]              -- hash: name -> the fields it was opened with
local name      = ARGV[1]              -- in the index
local saw       = ARGV[2]              -- generation that the caller saw last, or ''
local most      = tonumber(ARGV[3])    -- bytes of an owner
local chunks    = { unpack(ARGV, 4) }  -- number, size, checksum or '', number, size, ...

local uploads = include('lib/uploads')
local upload_quota = include('lib/upload_quota')
local chunk = include('lib/chunk')
local generation = include('lib/generation')
local session = uploads.read(entry)
if not session then
  return { 'unknown' }
elseif generation.earlier(saw, session.generation) then
  return { 'anew' }
elseif session.closed then
  return { 'closed', session.closed }
end
local before, fresh, outcomes = session.bytes, {}, {}
for place = 1, #chunks, 3 do
  local number, size = tonumber(chunks[place]), tonumber(chunks[place + 1])
  local outcome, expected = chunk.check(session, bitmap, checksums, fresh, number, size, chunks[place + 2])
  if outcome ~= 'accepted' and outcome ~= 'duplicate' then
    return { 'refused', outcome, (place - 1) / 3, expected }
  end
  outcomes[#outcomes + 1] = outcome
end
local quota_keys = { open = open, reserved = reserved, accounts = accounts, snapshots = snapshots }
local exceeded = upload_quota.exceeded(quota_keys, name, session.total and 0 or session.bytes - before, most)
if exceeded then
  return exceeded
end

chunk.write(bitmap, checksums, fresh)
local now, companions = math.floor(now_us / 1000), { bitmap, checksums }
local reply = uploads.write(session, entry, partition, companions, quota_keys, name, now)
reply[6] = outcomes
return reply
