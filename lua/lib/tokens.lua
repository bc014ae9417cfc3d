-- lib/tokens: the fencing tokens that a write may carry.
local tokens = {}

local DAY_US = 86400000000

-- Return the newest token when it refuses this one. The lock's own token counts, so that a new
-- holder is safe from the old one's writes before it has written anything itself.
function tokens.newer(token, latest, fence)
  if token == '' then
    return nil
  end
  local newest = math.max(tonumber(latest or 0), tonumber(redis.call('HGET', fence, 'fence') or 0))
  if tonumber(token) < newest then
    return string.format('%.0f', newest)
  end
end

-- The same for a token that an application passes: one that no lock has granted is refused, too, or one careless
-- write would shut out all later holders. A granted token is not newer than the lock's last one, if that is known,
-- nor than a day from now: clocks of servers may differ.
function tokens.refuse(token, latest, fence)
  local newest = tokens.newer(token, latest, fence)
  if newest or token == '' then
    return newest
  end
  local granted = tonumber(redis.call('HGET', fence, 'fence') or now_us + DAY_US)
  if tonumber(token) > math.max(granted, tonumber(latest or 0)) then
    return string.format('%.0f', granted)
  end
end

return tokens
