-- download/begin: begin a download, or resume the one under way; one that is finished begins anew.
--
-- Said twice: once.  Work: O(fields), 3,500 at most.  When full: refuses.
-- Replies  {'active', sent, offset, total, rate}   offset: all bytes before it were sent; total: -1 unknown
--          {'other', total}                        another size was given before
--          {'beyond', ends}                        bytes behind such an end were sent
--          {'quota', owner, what, used, limit}     the owner has too many active
local entry     = KEYS[1]               -- hash: the record
local partition = KEYS[2]               -- zset: the index
local open      = KEYS[3]               -- zset: name -> when it may be dead, in ms
local facts     = KEYS[4]               -- hash: name -> bytes reserved and owner
local accounts  = KEYS[5]               -- hash: what is counted for each owner
local name      = ARGV[1]               -- in the index
local ttl_ms    = tonumber(ARGV[2])     -- lives this long after each write
local container = ARGV[3]               -- who begins it
local owner     = ARGV[4]               -- whose limit it counts for
local total     = tonumber(ARGV[5])     -- bytes; -1: not known
local most      = tonumber(ARGV[6])     -- active downloads of this owner
local fields    = { unpack(ARGV, 7) }   -- field, value, field, value, ...

local downloads = include('lib/downloads')
local ledger = include('lib/ledger')
local books = { open = open, facts = facts, accounts = accounts }
local now = math.floor(now_us / 1000)
local found = downloads.read(entry)
local resumes = found and not found.finished
if resumes and found.total and total >= 0 and found.total ~= total then
  return { 'other', found.total }
end
local most_sent = resumes and tonumber(string.match(found.ranges, '(%d+)$')) or 0
if total >= 0 and total < most_sent then
  return { 'beyond', most_sent }
end
local counted, of = ledger.fact(books, name)
local used = ledger.used(books, owner)
if not (counted and of == owner) and used >= most then
  return { 'quota', owner, 'active downloads', used, most }
end

local old = found and found.version
if not resumes then
  redis.call('HSET', entry, '@ttl', ttl_ms)    -- may grow, so a full server refuses here
  redis.call('DEL', entry)
  found = { ttl_ms = ttl_ms, total = total >= 0 and total or nil, ranges = '', sent = 0, offset = 0, version = old }
  redis.call('HSET', entry, '@ttl', ttl_ms, '@owner', container, '@created', now, unpack(fields))
elseif total >= 0 then
  found.total = total
  redis.call('HSET', entry, 'total_bytes', total)
end
found.version, found.marks = found.version or string.format('%.0f', now_us), {}
ledger.book(books, name, owner, 0)
redis.call('ZADD', open, now + found.ttl_ms, name)
downloads.write(found, entry, partition, name, now)
local burial = include('lib/burial')
burial.sweep(books, partition, now, 8)
ledger.keep(books, found.ttl_ms)
return downloads.tell(found, now)
