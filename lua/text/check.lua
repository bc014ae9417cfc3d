-- text/check: recount the bytes of some entries of a shard, and compare.
--
-- Goes through the entries in order of use, some hundreds at a time, so it blocks no caller for long; changes between
-- two pages show as a difference.
--
-- Retry: no-writes.  Work: O(log n + page), 300 entries.  allow-oom: yes.
-- Replies  {'page', entries, bytes, {name, ...}, packed, whole}    counted; entries that are not whole; the
--                                   totals; 1 when all four keys have equally many entries
local texts    = KEYS[1]              -- hash: name -> 8 bytes and the text
local metadata = KEYS[2]              -- hash: name -> packed metadata, and the totals
local lru      = KEYS[3]              -- zset: name -> last use, in us
local expiries = KEYS[4]              -- zset: name -> expiry, in ms
local first    = tonumber(ARGV[1])    -- place in the order of use, from 0

local text_entry = include('lib/text_entry')
local names = redis.call('ZRANGE', lru, first, first + 299)
local found = #names > 0 and redis.call('HMGET', metadata, unpack(names)) or {}
local bytes, faulty = 0, {}
for place, name in ipairs(names) do
  local entry = found[place]
  if not entry or redis.call('HSTRLEN', texts, name) < 8 or not redis.call('ZSCORE', expiries, name) then
    faulty[#faulty + 1] = name
  end
  bytes = bytes + (entry and text_entry.bytes(entry) or 0)
end
local count = redis.call('ZCARD', lru)
local packed = redis.call('HGET', metadata, text_entry.TOTALS)
local whole = count == redis.call('ZCARD', expiries) and count == redis.call('HLEN', texts)
  and count + (packed and 1 or 0) == redis.call('HLEN', metadata)
return { 'page', #names, bytes, faulty, packed or '', whole and 1 or 0 }
