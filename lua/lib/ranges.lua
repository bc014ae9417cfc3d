-- lib/ranges: a set of bytes, as ordered ranges: '0-100 200-300', each up to the byte before its end.
local ranges = {}

ranges.MAX_RANGES = 512    -- separate ranges of one set, so that adding one stays cheap

-- Return the set with one more range, how many ranges and bytes it has, and where the one from byte 0 ends.
function ranges.add(text, first, ends)
  local parts, bytes, prefix, added = {}, 0, 0, ends <= first
  local function keep(from, to)
    if from == 0 then
      prefix = to
    end
    parts[#parts + 1] = string.format('%.0f-%.0f', from, to)
    bytes = bytes + to - from
  end
  for from, to in string.gmatch(text, '(%d+)-(%d+)') do
    from, to = tonumber(from), tonumber(to)
    if to < first or added and from > ends then
      keep(from, to)
    elseif from > ends then
      keep(first, ends)
      keep(from, to)
      added = true
    elseif added then
      keep(from, to)
    else
      first, ends = math.min(first, from), math.max(ends, to)
    end
  end
  if not added then
    keep(first, ends)
  end
  return table.concat(parts, ' '), #parts, bytes, prefix
end

return ranges
