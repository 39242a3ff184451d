-- Sets header fields of a shard once, such as the number of winners a round's draw gave to it; a repeat changes nothing.
-- KEYS 1 header hash, 2 ledger stream
-- ARGV member {{}, field, value, field, value, ...}
-- Replies: ok
-- Keeps: a field that is there stays as it is.
local function judge(m)
  for j = 2, #m, 2 do
    if not get(1, m[j]) then put(1, m[j], m[j + 1]) end
  end
  return { 'ok' }
end

return answer(judge)
