-- record/put: write an entry whole.
--
-- Three uses share this script, since they differ in one check: replace what is there, create
-- where nothing is, and write back what was read if nobody wrote in between. The last one goes on
-- with the same entry, so its companions stay; the other two begin a new one.
--
-- Said twice: once.  Work: O(fields), 3,500 at most.  When full: refuses.
-- Replies  {'written', version}
--          {'present'}            created elsewhere before
--          {'changed'}            the version is not the expected one any more
--          {'stale', newest}      a newer fencing token was seen
local entry      = KEYS[1]              -- hash: the record
local partition  = KEYS[2]              -- zset: the index
local guard      = KEYS[3]              -- hash: the last token of the lock in question
local companions = { unpack(KEYS, 4) }  -- what lives and dies with the record
local name       = ARGV[1]              -- in the index
local ttl_ms     = tonumber(ARGV[2])    -- lives this long after each write
local owner      = ARGV[3]              -- container that writes it; one that is written back keeps its own
local token      = ARGV[4]              -- fencing token, or ''
local expected   = ARGV[5]              -- '' anything, 'absent', or a version
local fields     = { unpack(ARGV, 6) }  -- field, value, field, value, ...

local record = include('lib/record')
local version, _, fence, _, created, first_owner = record.meta(entry, '@created', '@owner')
local newest = record.newer(token, fence, guard)
if newest then
  return { 'stale', newest }
end
if expected == 'absent' and version then
  return { 'present' }
end
local continues = expected ~= '' and expected ~= 'absent'
if continues and expected ~= version then
  return { 'changed' }
end

local now = math.floor(now_us / 1000)
local new_version = record.next(version, now_us)
redis.call('HSET', entry, '@version', new_version)    -- may grow, so a full server refuses here
redis.call('DEL', entry)
if not continues then
  for _, companion in ipairs(companions) do
    redis.call('DEL', companion)
  end
end
redis.call('HSET', entry, '@version', new_version, '@ttl', ttl_ms, '@owner', continues and first_owner or owner,
  '@created', created or now, '@updated', now, unpack(fields))
if token ~= '' or fence then
  redis.call('HSET', entry, '@fence', token ~= '' and token or fence)
end
record.keep(entry, partition, name, ttl_ms, now, companions)
return { 'written', new_version }
