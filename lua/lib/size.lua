-- lib/size: what an entry of the text cache takes of the server's memory.
--
-- Not its payload: an allocator hands out memory in sizes of its own (50,000 bytes occupy 57,344
-- under jemalloc), and tables, lists and names cost some 300 bytes more. The constants are fitted by
-- `python -m benchmarks --only cache-memory`, which tells what they miss.
local size = {}

-- Bytes beside the text and its name: table slots, skip list nodes, facts. Names are kept four times.
local EXTRA = { jemalloc = 350, libc = 305 }
local COPIES = 4

-- Return what the allocator gives for `bytes`. Jemalloc has four sizes between two powers of two.
function size.class(bytes, allocator)
  if allocator ~= 'jemalloc' then
    return bytes
  end
  if bytes <= 128 then
    return math.ceil(bytes / 16) * 16
  end
  local _, exponent = math.frexp(bytes - 1)    -- bytes - 1 < 2 ^ exponent
  local step = 2 ^ (exponent - 3)
  return math.ceil(bytes / step) * step
end

-- Return what an entry takes: `bytes` is the length of its blob, `name` that of its name.
function size.entry(bytes, name, allocator)
  return size.class(bytes + 10, allocator) + COPIES * name + EXTRA[allocator]
end

return size
