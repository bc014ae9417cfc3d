-- transfer/sweep: find expired transfers, and release their quota.
--
-- Redis removes an expired record by itself and says nothing. Each open sweeps a few; a caller that is
-- refused, or lists the dead, runs this until it finds no more.
--
-- Retry: deduplicated.  Work: O(log n), 200 transfers at most.  allow-oom: yes.
-- Replies  {'swept', count}       200: there may be more
local partition = KEYS[1]              -- zset: the index
local open      = KEYS[2]              -- zset: name -> when it may be dead, in ms
local reserved  = KEYS[3]              -- hash: name -> bytes reserved and owner
local accounts  = KEYS[4]              -- hash: the counts of each owner
local dead      = KEYS[5]              -- zset: name -> when it died, in ms
local snapshots = KEYS[6]              -- hash: name -> the fields it was opened with
local remembers = ARGV[1]              -- '1': list the dead

local quota_keys = { open = open, reserved = reserved, accounts = accounts }
if remembers == '1' then
  quota_keys.dead, quota_keys.snapshots = dead, snapshots
end
local dead_letter = include('lib/dead_letter')
return { 'swept', dead_letter.sweep(quota_keys, partition, math.floor(now_us / 1000), 200) }
