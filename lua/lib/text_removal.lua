-- lib/text_removal: remove one entry of the text cache.
local text_entry = include('lib/text_entry')
local text_shard = include('lib/text_shard')
local text_removal = {}

-- Remove the entry of a name, also remains of one that is not whole. Return its packed metadata; nil if there is no
-- such entry, or it is expired.
function text_removal.take(shard, name, now)
  local entry, packed = unpack(redis.call('HMGET', shard.metadata, name, text_entry.TOTALS))
  local totals = text_shard.totals(packed)
  text_shard.remove(shard, totals, { name }, { entry })
  if entry and packed then
    text_shard.save(shard, totals)
  end
  return entry and not text_entry.expired(entry, now) and entry or nil
end

return text_removal
