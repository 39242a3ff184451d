-- Forgets the record of an order on its payer's shard, or its entry in the merchant's directory, when it is still as the node has read it.
-- KEYS 1 header hash, 2 ledger stream (unused), 3.. order or directory buckets (hash)
-- ARGV member {{bucket}, order key, bytes as the node has read them}
-- Replies: changed (another value, or gone already); ok
-- Keeps: nothing that has changed since it was judged is forgotten; no money moves.
local function judge(m)
  if get(m[1][1], m[2]) ~= m[3] then return { 'changed' } end
  del(m[1][1], m[2])
  return { 'ok' }
end

return answer(judge)
