-- upload/declare: set the size of an upload that was opened without one.
--
-- Retry: deduplicated.  Work: O(1).  allow-oom: no.
-- Replies  {'received', bytes, chunks, needed, generation}
--          {'completed', bytes, chunks, needed, generation}   everything is there: this call made it whole
--          {'complete', bytes, chunks, needed, generation}    it was whole before
--          {'anew'}                               it was begun anew since the caller saw it
--          {'unknown'}                            no such session, or its TTL ran out
--          {'closed', state}                      aborted or stored
--          {'other', total}                       another size was declared before
--          {'contradicted', least, most}          the bytes received allow this least and this largest size
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
local total     = tonumber(ARGV[4])

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
elseif session.total and session.total ~= total then
  return { 'other', session.total }
end
local upload_size = include('lib/upload_size')
local least, largest = upload_size.bounds(session, bitmap)
if not session.total and (total < least or total > largest) then
  return { 'contradicted', least, largest }
end
local quota_keys = { open = open, reserved = reserved, accounts = accounts, snapshots = snapshots }
local exceeded = upload_quota.exceeded(quota_keys, name, session.total and 0 or total - session.bytes, most)
if exceeded then
  return exceeded
end

if not session.total then
  session.total = total
  redis.call('HSET', entry, 'total_size', string.format('%.0f', total))
  if session.chunk then
    redis.call('HSET', entry, 'total_chunks', uploads.chunks_of(total, session.chunk))
  end
  redis.call('HDEL', entry, '@short')
end
return uploads.write(session, entry, partition, { bitmap, checksums }, quota_keys, name, math.floor(now_us / 1000))
