-- lib/generation: the run, or session, of a name that a caller means.
--
-- `@generation` is the version that an entry was begun with. A caller passes the one that it saw last, or ''. An entry
-- that an application has put itself has none, and every caller means it.
local generation = {}

-- Return whether a caller means an earlier one than the one under way (nil or false: it has none).
function generation.earlier(saw, under_way)
  return saw ~= '' and under_way and under_way ~= saw
end

return generation
