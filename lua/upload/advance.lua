-- upload/advance: count a range received behind all others.
--
-- For uploads that come in order. A range within the bytes received is a repetition, and the reply is the
-- state of the upload; one that overlaps their end, or leaves a gap, is refused.
--
-- Retry: deduplicated.  Work: O(1).  allow-oom: no.
-- Replies  {'received', bytes, chunks, needed, generation}
--          {'completed', bytes, chunks, needed, generation}   this call made it whole
--          {'complete', bytes, chunks, needed, generation}    it was whole before
--          {'anew'}                               it was begun anew since the caller saw it
--          {'unknown'}                            no such session, or its TTL ran out
--          {'closed', state}                      aborted or stored
--          {'conflict', current}                  the next range begins there
--          {'chunked'}                            it takes numbered chunks
--          {'beyond', total}                      more than declared
--          {'quota', owner, what, used, limit}   more bytes than the owner may reserve
local entry     = KEYS[1]              -- hash: the record
local partition = KEYS[2]              -- zset: the index
local open      = KEYS[3]              -- zset: name -> when it may be dead, in ms
local reserved  = KEYS[4]              -- hash: name -> bytes reserved and owner
local accounts  = KEYS[5]              -- hash: the counts of each owner
local snapshots = KEYS[6]              -- hash: name -> the fields it was opened with
local name      = ARGV[1]              -- in the index
local saw       = ARGV[2]              -- generation that the caller saw last, or ''
local most      = tonumber(ARGV[3])    -- bytes of an owner
local offset    = tonumber(ARGV[4])    -- where the range begins
local ends      = tonumber(ARGV[5])    -- the byte behind it

local uploads = include('lib/uploads')
local upload_quota = include('lib/upload_quota')
local generation = include('lib/generation')
local session = uploads.read(entry)
if not session then
  return { 'unknown' }
elseif generation.earlier(saw, session.generation) then
  return { 'anew' }
elseif session.closed then
  return { 'closed', session.closed }
elseif session.count > 0 then
  return { 'chunked' }
elseif offset ~= session.bytes and ends > session.bytes or offset > session.bytes then
  return { 'conflict', session.bytes }
elseif session.total and ends > session.total then
  return { 'beyond', session.total }
end
local quota_keys = { open = open, reserved = reserved, accounts = accounts, snapshots = snapshots }
local exceeded = upload_quota.exceeded(quota_keys, name, session.total and 0 or ends - session.bytes, most)
if exceeded then
  return exceeded
end

session.bytes = math.max(session.bytes, ends)
return uploads.write(session, entry, partition, {}, quota_keys, name, math.floor(now_us / 1000))
