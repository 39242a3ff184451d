-- Gives back what a mark holds for a claim or reservation of which no copy can have an effect any more, when it is as the node has read it.
-- KEYS 1 header hash of the index slot, 2 ledger stream (unused), 3.. buckets of quotas and of their marks (hashes)
-- ARGV member {{bucket of the quota, bucket of marks}, name of the quota, mark, bytes as the node has read them}
-- Replies: changed (another value, or gone already); ok
-- Keeps: a quota is what its marks hold; what a new copy has entered stays.
local function judge(m)
  local quotas, marks, name, holder = m[1][1], m[1][2], m[2], m[3]
  if get(marks, holder) ~= m[4] then return { 'changed' } end
  local left = tonumber(get(quotas, name) or 0) - cmsgpack.unpack(m[4])[2]
  if left > 0 then put(quotas, name, format('%.0f', left)) else del(quotas, name) end
  del(marks, holder)
  return { 'ok' }
end

return answer(judge)
