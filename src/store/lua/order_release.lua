-- Gives back the caps of a refused attempt, once; the attempt must be void on its shard first.
-- KEYS 1 header hash of the merchant, 2 ledger stream (unused), 3.. directory buckets (hash)
-- ARGV member {{directory bucket}, order key, attempt}
-- Replies: replay (another attempt, reversed, or released before); ok
-- Keeps: the caps of an attempt are given back at most once.
local function judge(m)
  local directory, ok, attempt = m[1][1], m[2], m[3]
  local entry = unpacked(directory, ok)
  if not entry or entry[1] ~= 1 or entry[2] ~= attempt or entry[5] == 0 then return { 'replay' } end
  for _, cap in ipairs(entry[5]) do add(cap[1], -cap[2]) end
  entry[5] = 0
  put(directory, ok, cmsgpack.pack(entry))
  return { 'ok' }
end

local replies = {}
for i, m in ipairs(members) do
  replies[i] = judge(m)
end
return finish(replies)
