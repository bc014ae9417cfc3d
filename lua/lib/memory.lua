-- lib/memory: the memory that an entry of the text cache takes on the server.
--
-- More than its payload: an allocator hands out memory in sizes of its own (50,000 bytes occupy 57,344
-- under jemalloc), and tables, lists and names cost some 300 bytes more. The constants are fitted by
-- `python -m benchmarks --only cache-memory`, which prints the error that is left.
local memory = {}

-- Bytes beside the text and its name: table slots, skip list nodes, metadata. Names are kept four times.
local OVERHEAD = { jemalloc = 350, libc = 305 }
local NAME_COPIES = 4

-- Return the size class in which the allocator serves `bytes`. Jemalloc has four sizes between two powers of two.
function memory.size_class(bytes, allocator)
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

-- Return the bytes that an entry takes: `bytes` is the length of its text, `name` that of its name.
function memory.of_entry(bytes, name, allocator)
  return memory.size_class(bytes + 10, allocator) + NAME_COPIES * name + OVERHEAD[allocator]
end

return memory
