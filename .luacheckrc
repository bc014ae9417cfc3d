-- Redis runs Lua 5.1 with a few tables of its own; include() is resolved by our loader, and now_us, the server's time in
-- microseconds, is given to scripts of class `deduplicated`. lib/once is given such a script as `body`, and whether it
-- runs at the memory limit as `allow_oom`.
std = "lua51"
read_globals = {
  "redis", "server", "cjson", "cmsgpack", "struct", "bit", "KEYS", "ARGV", "include",
  "now_us", "body", "allow_oom",
}
max_line_length = 120
files["lua/lib/once.lua"] = { globals = { "KEYS", "ARGV" } }    -- it takes its own from their ends
