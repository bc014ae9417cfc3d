-- Redis runs Lua 5.1 with a few tables of its own; include() is resolved by our loader.
std = "lua51"
read_globals = { "redis", "server", "cjson", "cmsgpack", "struct", "bit", "KEYS", "ARGV", "include" }
max_line_length = 120
