-- Writes into the index who means to enter with an identity key, or tells who has written before. The node asks that person's shard, makes
-- void what was meant there, and comes again with what it has seen, which is then replaced.
-- KEYS 1 header hash of the index slot, 2 ledger stream (unused), 3.. buckets of the index (hash)
-- ARGV member {{bucket}, digest, person (shard, field) 10 bytes, intent, what may be replaced or ''}
-- Replies: taken {person and intent}; ok
-- Keeps: a key names one person; of one person the latest intent, so that who makes it void has made all earlier ones void too.
local function judge(m)
  local bucket, digest, person, intent = m[1][1], m[2], m[3], m[4]
  local held = get(bucket, digest)
  if held and held ~= m[5] then
    if sub(held, 1, 10) ~= person then return { 'taken', held } end
    if tonumber(sub(held, 11)) >= intent then return { 'ok' } end
  end
  put(bucket, digest, person .. format('%.0f', intent))
  return { 'ok' }
end

return answer(judge)
