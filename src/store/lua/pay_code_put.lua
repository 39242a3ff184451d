-- Stores a fresh pay code on its person's shard; it dies by itself.
-- KEYS 1 header hash, 2 ledger stream, 3.. pay codes (hash)
-- ARGV member {{pay code}, its record, time to live ms}. A record is bytes: 12 of the order that it pays or zeros, root pseudonym 32,
--   expires ms u64, channel, and after a line feed each the areas in which it was asked for.
-- Replies: refused pay_code_taken; ok
-- Keeps: a code that is there belongs to its person until it dies.
local function judge(m)
  local key = m[1][1]
  if get(key, 'v') then return { 'refused', 'pay_code_taken' } end
  put(key, 'v', m[2])
  expire(key, m[3])
  return { 'ok' }
end

return answer(judge)
