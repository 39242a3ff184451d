-- Stores a fresh pay code on its person's shard; it dies by itself.
-- KEYS 1 header hash, 2 ledger stream, 3.. pay codes (hash)
-- ARGV member {{pay code}, root pseudonym, channel, expires ms, time to live ms}
-- Replies: refused pay_code_taken; ok
-- Keeps: a code that is there belongs to its person until it dies.
local function judge(m)
  local key = m[1][1]
  if get(key, 'v') then return { 'refused', 'pay_code_taken' } end
  put(key, 'v', cmsgpack.pack({ m[2], m[3], m[4], '' }))
  expire(key, m[5])
  return { 'ok' }
end

return answer(judge)
