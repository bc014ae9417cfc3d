-- text/peek: read an entry, and count nothing.
--
-- The fallback of text/get, and the read of iterations.
--
-- Retry: no-writes.  Work: O(log n + bytes).  allow-oom: yes.
-- Replies  {'hit', text, metadata, us}    text '' when it is read beside; the time of its last use
--          {'miss'}                    no such entry, expired, or of another file
local texts    = KEYS[1]              -- hash: name -> 8 bytes and the text
local metadata = KEYS[2]              -- hash: name -> packed metadata, and the totals
local lru      = KEYS[3]              -- zset: name -> last use, in us
local expiries = KEYS[4]              -- zset: name -> expiry, in ms
local name     = ARGV[1]
local mtime    = ARGV[2]              -- of the file, as the reader knows it and as lib/text_entry packs it; '': any
local whole    = ARGV[3]              -- '1': with the text

local text_entry = include('lib/text_entry')
local entry = redis.call('HGET', metadata, name)
local clock = include('lib/clock')
local now = clock.ms()
local other = entry and mtime ~= '' and mtime ~= text_entry.mtime(entry)
if not entry or other or text_entry.expired(entry, now) or not redis.call('ZSCORE', expiries, name) then
  return { 'miss' }
end
local used = tonumber(redis.call('ZSCORE', lru, name))
return { 'hit', whole == '1' and redis.call('HGET', texts, name) or '', entry, used }
