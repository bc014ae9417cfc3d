-- text/check: count again what some entries of a shard take, and compare.
--
-- Goes through the entries in order of use, some hundreds at a time, so it blocks nobody; in a cache
-- that is in use meanwhile, what changed in between shows as a difference.
--
-- Said twice: reads.  Work: O(log n + page), 300 entries.  When full: runs.
-- Replies  {'page', entries, bytes, {name, ...}, packed, whole}    counted; entries that are not whole; the
--                                   totals; 1 when there are as many uses, ends, blobs and facts
local blobs     = KEYS[1]            -- hash: name -> 8 bytes and the text
local entries   = KEYS[2]            -- hash: name -> facts, and the totals
local uses      = KEYS[3]            -- zset: name -> last use, in us
local ends      = KEYS[4]            -- zset: name -> expiry, in ms
local first     = tonumber(ARGV[1])  -- place in the order of use, from 0

local facts = include('lib/facts')
local names = redis.call('ZRANGE', uses, first, first + 299)
local found = #names > 0 and redis.call('HMGET', entries, unpack(names)) or {}
local bytes, faulty = 0, {}
for place, name in ipairs(names) do
  local entry = found[place]
  if not entry or redis.call('HSTRLEN', blobs, name) < 8 or not redis.call('ZSCORE', ends, name) then
    faulty[#faulty + 1] = name
  end
  bytes = bytes + (entry and facts.stored(entry) or 0)
end
local count = redis.call('ZCARD', uses)
local packed = redis.call('HGET', entries, facts.TOTALS)
local whole = count == redis.call('ZCARD', ends) and count == redis.call('HLEN', blobs)
  and count + (packed and 1 or 0) == redis.call('HLEN', entries)
return { 'page', #names, bytes, faulty, packed or '', whole and 1 or 0 }
