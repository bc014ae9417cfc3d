-- record/put: write an entry whole.
--
-- `expected` selects the check: replace any entry; create an absent one, or else return it; or write back an entry
-- that was read, if it has not changed since: this continues the entry, and owner and companions stay. The meta fields
-- (@x) of a claim, a fence or a download stay in each case, until the entry is deleted: new fields are no new work.
--
-- Retry: deduplicated.  Work: O(fields), 3,500 at most.  allow-oom: no.
-- Replies  {'written', version}
--          {'present'}            created elsewhere before
--          {'was', {field, ...}}  created elsewhere before, with these fields
--          {'changed'}            the version is not the expected one any more
--          {'stale', newest}      a newer fencing token was seen, or this one was never granted
local entry      = KEYS[1]              -- hash: the record
local partition  = KEYS[2]              -- zset: the index
local fence      = KEYS[3]              -- hash: the last token of the lock
local companions = { unpack(KEYS, 4) }  -- keys that live as long as the record
local name       = ARGV[1]              -- in the index
local ttl_ms     = tonumber(ARGV[2])    -- lives this long after each write; 0: as long as it did
local owner      = ARGV[3]              -- container that writes it; one that is written back keeps its own
local token      = ARGV[4]              -- fencing token, or ''
local expected   = ARGV[5]              -- '' anything, 'absent', 'default' (absent; else reply with it), or a version
local fields     = { unpack(ARGV, 6) }  -- field, value, field, value, ...

local record = include('lib/record')
local tokens = include('lib/tokens')
local version, ttl, latest, _, created, first_owner = record.meta(entry, '@created', '@owner')
local newest = tokens.refuse(token, latest, fence)
if newest then
  return { 'stale', newest }
end
if version and (expected == 'absent' or expected == 'default') then
  return expected == 'absent' and { 'present' } or { 'was', redis.call('HGETALL', entry) }
end
local continues = tonumber(expected) ~= nil
if continues and expected ~= version then
  return { 'changed' }
end

local now = math.floor(now_us / 1000)
local new_version = record.next(version, now_us)
redis.call('HSET', entry, '@version', new_version)    -- may grow, so a full server refuses here
if version then
  record.delete_fields(entry)
else
  redis.call('DEL', entry)    -- a hash without @version is no record
end
if not continues and #companions > 0 then
  redis.call('DEL', unpack(companions))
end
local lives_ms = ttl_ms > 0 and ttl_ms or tonumber(ttl)
redis.call('HSET', entry, '@version', new_version, '@ttl', lives_ms, '@owner', continues and first_owner or owner,
  '@created', created or now, '@updated', now, unpack(fields))
if token ~= '' then
  redis.call('HSET', entry, '@fence', token)
end
record.renew(entry, partition, name, lives_ms, now, companions)
return { 'written', new_version }
