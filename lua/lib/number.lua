-- lib/number: add numbers that are stored as text; as in Python, whole numbers stay whole.
local number = {}

-- Return the sum as text; 'whole' when both are whole, since HINCRBY counts in 64 bits and Lua in
-- doubles; nil when the sum could be inexact (more than 18 digits) or is not finite.
function number.add(a, b)
  local digits_a, digits_b = string.match(a, '^-?(%d+)$'), string.match(b, '^-?(%d+)$')
  if digits_a and digits_b then
    return #digits_a <= 18 and #digits_b <= 18 and 'whole' or nil
  end
  local sum = tonumber(a) + tonumber(b)
  if sum - sum ~= 0 then
    return nil
  end
  local text = string.format('%.17g', sum)
  return string.find(text, '[.e]') and text or text .. '.0'
end

-- Return whether a double holds a whole number exactly.
function number.exact(n)
  return math.abs(n) < 2 ^ 53
end

return number
