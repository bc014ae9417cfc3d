-- download/begin: begin a download, or resume the one under way; a finished one begins anew.
--
-- Retry: deduplicated.  Work: O(fields), 3,500 at most.  allow-oom: no.
-- Replies  {'active', sent, offset, total, rate, generation}   offset: where to resume; total: -1 unknown
--          {'other', total}                        another size was given before
--          {'beyond', ends}                        bytes behind such an end were sent
--          {'quota', owner, what, used, limit}     the owner has too many active
local entry     = KEYS[1]              -- hash: the record
local partition = KEYS[2]              -- zset: the index
local open      = KEYS[3]              -- zset: name -> when it may be dead, in ms
local reserved  = KEYS[4]              -- hash: name -> bytes reserved and owner
local accounts  = KEYS[5]              -- hash: the counts of each owner
local name      = ARGV[1]              -- in the index
local ttl_ms    = tonumber(ARGV[2])    -- lives this long after each write
local container = ARGV[3]              -- of the caller
local owner     = ARGV[4]              -- of the quota
local total     = tonumber(ARGV[5])    -- bytes; -1: not known
local most      = tonumber(ARGV[6])    -- active downloads of this owner; -1: no limit
local fields    = { unpack(ARGV, 7) }  -- field, value, field, value, ...

local downloads = include('lib/downloads')
local quota = include('lib/quota')
local account = include('lib/account')
local keys = { open = open, reserved = reserved, accounts = accounts }
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
local bytes, of = quota.reservation(keys, name)
local exceeded = not (bytes and of == owner) and account.exceeded(keys, owner, 'n:', 'active downloads', 0, 1, most)
if exceeded then
  return exceeded
end

if not resumes then
  local version = found and found.version or string.format('%.0f', now_us)
  redis.call('HSET', entry, '@ttl', ttl_ms)    -- may grow, so a full server refuses here
  redis.call('DEL', entry)
  found = { ttl_ms = ttl_ms, total = total >= 0 and total or nil, ranges = '', sent = 0, offset = 0,
    version = version, generation = version }
  redis.call('HSET', entry, '@ttl', ttl_ms, '@generation', version, '@owner', container, '@created', now,
    unpack(fields))
elseif total >= 0 then
  found.total = total
  redis.call('HSET', entry, 'total_bytes', total)
end
found.marks = {}
quota.reserve(keys, name, owner, 0)
redis.call('ZADD', open, now + found.ttl_ms, name)
downloads.write(found, entry, partition, name, now)
local dead_letter = include('lib/dead_letter')
dead_letter.sweep(keys, partition, now, 8)
quota.renew(keys, found.ttl_ms)
return downloads.reply(found, now)
