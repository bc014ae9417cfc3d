-- lib/clock: the server's time, the only clock that decides anything.
local clock = {}

-- Milliseconds since 1970, a whole number.
function clock.ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Microseconds since 1970. 16 digits: format with `%.0f`, since tostring and .. keep 14.
function clock.us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

return clock
