-- progress/confirm: a completion was dealt with; offer it to nobody again.
--
-- Said twice: once.  Work: O(log n).  When full: runs.
-- Replies  {'confirmed'}
--          {'nothing'}      not complete, or confirmed before
local completions = KEYS[1]              -- zset: name -> end of lease, in ms
local name        = ARGV[1]

if redis.call('ZREM', completions, name) == 0 then
  return { 'nothing' }
end
return { 'confirmed' }
