-- Puts a person on a round's list under an intent, unless that intent is void: whoever takes one of its identity keys makes it void first.
-- KEYS 1 header hash, 2 ledger stream, 3.. person buckets, buckets of void intents (hashes)
-- ARGV member {{person bucket, bucket of void intents}, wish without its two places, intent, place of the terms}
-- Replies: refused intent_void; else as reservation_add
-- Keeps: a person enters with identity keys only while the index names this person, at this intent or a later one, for each of them.
local function judge_under_intent(m)
  local voids, wish = m[1][2], m[2]
  if tonumber(get(voids, sub(wish, 1, 9)) or 0) >= m[3] then return { 'refused', 'intent_void' } end
  return judge(char(m[1][1], m[4]) .. wish)
end

return answer(judge_under_intent)
