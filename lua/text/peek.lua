-- text/peek: read an entry, and count nothing.
--
-- What text/get does the second time, and what looking at all entries does.
--
-- Said twice: reads.  Work: O(log n + bytes).  When full: runs.
-- Replies  {'hit', blob, facts, us}    blob '' when it is read beside; the time of its last use
--          {'miss'}                    no such entry, expired, or of another file
local blobs   = KEYS[1]              -- hash: name -> 8 bytes and the text
local entries = KEYS[2]              -- hash: name -> facts, and the totals
local uses    = KEYS[3]              -- zset: name -> last use, in us
local ends    = KEYS[4]              -- zset: name -> expiry, in ms
local name    = ARGV[1]
local mtime   = ARGV[2]              -- of the file, as the reader knows it and as lib/facts packs it; '': whatever
local whole   = ARGV[3]              -- '1': with the text

local facts = include('lib/facts')
local entry = redis.call('HGET', entries, name)
local clock = include('lib/clock')
local now = clock.ms()
local other = entry and mtime ~= '' and mtime ~= facts.mtime(entry)
if not entry or other or facts.over(entry, now) or not redis.call('ZSCORE', ends, name) then
  return { 'miss' }
end
local used = tonumber(redis.call('ZSCORE', uses, name))
return { 'hit', whole == '1' and redis.call('HGET', blobs, name) or '', entry, used }
