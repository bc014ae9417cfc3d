-- download/finish: end a download, whole or not; it no longer counts for its owner.
--
-- Retry: deduplicated.  Work: O(ranges), 512 at most.  allow-oom: yes.
-- Replies  {'finished', sent, offset, total, rate, generation}   offset: where to resume; total: -1 unknown
--          {'anew'}                                  it was begun anew since the caller saw it
--          {'unknown'}                               no such download, or its TTL ran out
local entry     = KEYS[1]              -- hash: the record
local partition = KEYS[2]              -- zset: the index
local open      = KEYS[3]              -- zset: name -> when it may be dead, in ms
local reserved  = KEYS[4]              -- hash: name -> bytes reserved and owner
local accounts  = KEYS[5]              -- hash: the counts of each owner
local name      = ARGV[1]              -- in the index
local saw       = ARGV[2]              -- generation that the caller saw last, or ''

local downloads = include('lib/downloads')
local generation = include('lib/generation')
local now = math.floor(now_us / 1000)
local found = downloads.read(entry)
if not found then
  return { 'unknown' }
elseif generation.earlier(saw, found.generation) then
  return { 'anew' }
end

if not found.finished then
  found.finished = true
  downloads.write(found, entry, partition, name, now)
  local dead_letter = include('lib/dead_letter')
  dead_letter.forget({ open = open, reserved = reserved, accounts = accounts }, name)
end
return downloads.reply(found, now)
