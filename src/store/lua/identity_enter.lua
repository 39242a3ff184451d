-- Puts a person on a round's list under an intent, unless that intent is void: whoever takes one of its identity keys makes it void first.
-- KEYS 1 header hash, 2 ledger stream, 3.. person bucket, bucket of void intents (hashes)
-- ARGV member flat, with the keys of both: u32 intent, then a wish as reservation_enter.lua reads it; the terms are shared
-- Replies: refused intent_void; else as reservation_add
-- Keeps: a person enters with identity keys only while the index names this person, at this intent or a later one, for each of them.
local function judge_under_intent(member)
  local _, _, bucket, voids, terms = byte(member, 1, 5)
  local intent, field = struct.unpack('>I4c9', member, 6)
  if tonumber(get(voids, field) or 0) >= intent then return { 'refused', 'intent_void' } end
  return judge(char(1, 1, bucket, terms) .. sub(member, 10))
end

return answer_flat(judge_under_intent)
