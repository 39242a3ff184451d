-- Whether a person is on a round's list with an identity key; if not, what the person meant up to an intent is void from now on.
-- KEYS 1 header hash, 2 ledger stream (unused), 3.. person buckets, buckets of void intents (hashes)
-- ARGV member {{person bucket, bucket of void intents}, field, round, digest, intent}
-- Replies: live; ok
-- Keeps: nobody enters under a void intent; void intents of a person only grow.
local function judge(m)
  local voids, field, round, digest, intent = m[1][2], m[2], m[3], m[4], m[5]
  local record = get(m[1][1], field)
  for _, entry in ipairs(record and entries_of(record) or {}) do
    for place = 1, #(entry[5] or ''), 8 do
      if entry[1] == round and sub(entry[5], place, place + 7) == digest then return { 'live' } end
    end
  end
  if tonumber(get(voids, field) or 0) < intent then put(voids, field, format('%.0f', intent)) end
  return { 'ok' }
end

return answer(judge)
