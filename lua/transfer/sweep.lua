-- transfer/sweep: find transfers whose time to live ran out, and give back what they reserved.
--
-- Redis removes an expired record by itself and says nothing. Each one that is opened sweeps a few;
-- who is refused, or asks for the dead, runs this until it finds no more.
--
-- Said twice: once.  Work: O(log n), 200 transfers at most.  When full: runs.
-- Replies  {'swept', count}       200: there may be more
local partition = KEYS[1]              -- zset: the index
local open      = KEYS[2]              -- zset: name -> when it may be dead, in ms
local facts     = KEYS[3]              -- hash: name -> bytes reserved and owner
local accounts  = KEYS[4]              -- hash: what is counted for each owner
local dead      = KEYS[5]              -- zset: name -> when it died, in ms
local memos     = KEYS[6]              -- hash: name -> what it was opened with
local remembers = ARGV[1]              -- '1': the dead are remembered

local books = { open = open, facts = facts, accounts = accounts }
if remembers == '1' then
  books.dead, books.memos = dead, memos
end
local burial = include('lib/burial')
return { 'swept', burial.sweep(books, partition, math.floor(now_us / 1000), 200) }
