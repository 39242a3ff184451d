-- Reads a pay code, an order and a person's records of all campaigns at one instant. Writes nothing.
-- KEYS 1 header hash, 2 ledger stream, 3.. order buckets, pay codes, person buckets (hashes)
-- ARGV member {{key, ...}, field of each key}
-- Replies: ok {now, value or '' of each key}
-- Keeps: everything a plan is made of was true together.
local function judge(m)
  local reply = { 'ok', now }
  for n, key in ipairs(m[1]) do
    reply[n + 2] = get(key, m[2][n]) or ''
  end
  return reply
end

return answer(judge)
