-- upload/settle: say how an assembly went: the upload is stored, or it may be tried again after a rest.
--
-- A stored upload needs no chunks any more, and is no loss when its time to live runs out. One that was
-- aborted, or expired, meanwhile is not brought back to life.
--
-- Said twice: once.  Work: O(fields).  When full: runs.
-- Replies  {'settled'}
--          {'stale', newest}      somebody else has taken it since
--          {'closed', state}      it was aborted
--          {'done', result}       it was stored before
--          {'unknown'}            no such session any more; one that was made anew is another
local entry     = KEYS[1]              -- hash: the record
local partition = KEYS[2]              -- zset: the index
local seen      = KEYS[3]              -- bitmap of accepted chunks
local sums      = KEYS[4]              -- hash: number -> checksum, where there is one
local open      = KEYS[5]              -- zset: name -> when it may be dead, in ms
local facts     = KEYS[6]              -- hash: name -> bytes reserved and owner
local accounts  = KEYS[7]              -- hash: what is counted for each owner
local dead      = KEYS[8]              -- zset: name -> when it died, in ms
local memos     = KEYS[9]              -- hash: name -> what it was opened with
local lock      = KEYS[10]             -- hash: owner, fence, container, since, note; lives for the lease
local guard     = KEYS[11]             -- hash: the last token
local leases    = KEYS[12]             -- zset: name -> end of lease, in ms
local queue     = KEYS[13]             -- zset: waiter -> time in ms until which it counts
local wake      = KEYS[14]             -- list: the wake-up on its way
local name      = ARGV[1]              -- of record and lock
local owner     = ARGV[2]              -- of the lock
local token     = ARGV[3]              -- the claim's
local state     = ARGV[4]              -- 'done' or 'failed'
local rest_ms   = tonumber(ARGV[5])    -- until it may be tried again
local fields    = { unpack(ARGV, 6) }  -- field, value, field, value, ...

local uploads = include('lib/uploads')
local session = uploads.read(entry)
if not session or not redis.call('HGET', entry, '@claim') then
  return { 'unknown' }
elseif session.closed == 'aborted' then
  return { 'closed', session.closed }
end
if state == 'failed' then
  fields[#fields + 1] = '@retry_at'
  fields[#fields + 1] = math.floor(now_us / 1000) + rest_ms
end
local keys = { entry = entry, partition = partition, companions = { seen, sums }, lock = lock, guard = guard,
  leases = leases, queue = queue, wake = wake }
local claim = include('lib/claim')
local refusal = claim.settle(keys, name, owner, token, session.ttl_ms, state, fields)
if refusal then
  return refusal
end
if state == 'done' then
  local books = { open = open, facts = facts, accounts = accounts, dead = dead, memos = memos }
  local burial = include('lib/burial')
  burial.forget(books, name)
  redis.call('DEL', seen, sums)
end
return { 'settled' }
