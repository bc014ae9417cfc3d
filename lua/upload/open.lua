-- upload/open: begin a session, if its owner may have one more.
--
-- Said twice: once.  Work: O(fields), 3,500 at most.  When full: refuses.
-- Replies  {'opened'}
--          {'present'}                             there is one of this name
--          {'quota', owner, what, used, limit}     what the owner has too many of: uploads or bytes
local entry        = KEYS[1]               -- hash: the record
local partition    = KEYS[2]               -- zset: the index
local open         = KEYS[3]               -- zset: name -> when it may be dead, in ms
local facts        = KEYS[4]               -- hash: name -> bytes reserved and owner
local accounts     = KEYS[5]               -- hash: what is counted for each owner
local dead         = KEYS[6]               -- zset: name -> when it died, in ms
local memos        = KEYS[7]               -- hash: name -> what it was opened with
local companions   = { unpack(KEYS, 8) }   -- what lives and dies with the record
local name         = ARGV[1]               -- in the index
local ttl_ms       = tonumber(ARGV[2])     -- lives this long after each write
local container    = ARGV[3]               -- who opens it
local owner        = ARGV[4]               -- whose quota it counts for
local bytes        = tonumber(ARGV[5])     -- to reserve; -1: it needs nothing
local most_uploads = tonumber(ARGV[6])     -- of this owner
local most_bytes   = tonumber(ARGV[7])     -- of this owner
local memo         = ARGV[8]
local fields       = { unpack(ARGV, 9) }   -- field, value, field, value, ...

if redis.call('EXISTS', entry) == 1 then
  return { 'present' }
end
local ledger = include('lib/ledger')
local books = { open = open, facts = facts, accounts = accounts, dead = dead, memos = memos }
local uploads, used = ledger.used(books, owner)
if bytes >= 0 and uploads >= most_uploads then
  return { 'quota', owner, 'open uploads', uploads, most_uploads }
end
if bytes >= 0 and used + bytes > most_bytes then
  return { 'quota', owner, 'bytes', used, most_bytes }
end

local record = include('lib/record')
local now = math.floor(now_us / 1000)
redis.call('HSET', entry, '@version', record.next(nil, now_us), '@ttl', ttl_ms, '@owner', container,
  '@created', now, '@updated', now, unpack(fields))
redis.call('DEL', unpack(companions))
redis.call('ZADD', open, now + ttl_ms, name)
redis.call('HSET', memos, name, memo)
redis.call('ZREM', dead, name)
ledger.book(books, name, owner, bytes >= 0 and bytes or nil)
record.keep(entry, partition, name, ttl_ms, now, {})
local burial = include('lib/burial')
burial.sweep(books, partition, now, 8)
ledger.keep(books, ttl_ms)
return { 'opened' }
