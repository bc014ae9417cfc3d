-- progress/confirm: confirm that a completion was handled, and offer it no more.
--
-- A late caller may mean the completion of an earlier run: it passes the generation that it saw last, or the
-- completion that it was given. A record that is gone has no later completion.
--
-- Retry: deduplicated.  Work: O(log n).  allow-oom: yes.
-- Replies  {'confirmed'}
--          {'nothing'}      not complete, confirmed before, or of an earlier run
local entry       = KEYS[1]              -- hash: the record
local completions = KEYS[2]              -- zset: name -> end of lease, in ms
local name        = ARGV[1]
local saw         = ARGV[2]              -- generation that the caller saw last, or ''
local completion  = ARGV[3]              -- the one that it was given, or ''

local generation = include('lib/generation')
local version, under_way, completed = unpack(redis.call('HMGET', entry, '@version', '@generation', '@completed'))
local later = generation.earlier(saw, under_way) or completion ~= '' and version and completion ~= (completed or '0')
if later or redis.call('ZREM', completions, name) == 0 then
  return { 'nothing' }
end
return { 'confirmed' }
