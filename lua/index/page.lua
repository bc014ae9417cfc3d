-- index/page: the next names of a partition.
--
-- A name that is there from the first page to the last is returned at least once, one that comes or
-- goes meanwhile perhaps; the caller drops repetitions.
--
-- Retry: no-writes.  Work: O(page), some 500 names.  allow-oom: yes.
-- Replies  {'page', cursor, {name, ...}}   cursor '0' after the last page
local partition = KEYS[1]              -- zset: the index
local cursor    = ARGV[1]              -- '0' at first

local clock = include('lib/clock')
local now = clock.ms()
local page = redis.call('ZSCAN', partition, cursor, 'COUNT', 500)
local names = {}
for place = 1, #page[2], 2 do
  if tonumber(page[2][place + 1]) > now then
    names[#names + 1] = page[2][place]
  end
end
return { 'page', page[1], names }
