-- Forgets the record of an order on its payer's shard, with what was bought, or its entry in the merchant's directory, when it is still as the node has read it.
-- KEYS 1 header hash, 2 ledger stream (unused), 3.. order or directory buckets, bought buckets (hashes)
-- ARGV member {{order bucket, bought bucket} or {directory bucket}, order key, bytes as the node has read them}
-- Replies: changed (another value, or gone already); ok
-- Keeps: nothing that has changed since it was judged is forgotten; no money moves.
local function judge(m)
  local bought = m[1][2]
  if get(m[1][1], m[2]) ~= m[3] then return { 'changed' } end
  if bought and get(bought, m[2]) then del(bought, m[2]) end
  del(m[1][1], m[2])
  return { 'ok' }
end

return answer(judge)
