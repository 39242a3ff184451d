-- Gives back what a mark holds beyond what its effect uses, of which no copy can have another effect any more, when it is as the node has
-- read it.
-- KEYS 1 header hash of the index slot, 2 ledger stream (unused), 3.. buckets of quotas and of their marks (hashes)
-- ARGV member {{bucket of the quota, bucket of marks}, name of the quota, mark, bytes as the node has read them, what it keeps}
-- Replies: changed (another value, or gone already); ok
-- Keeps: a quota is what its marks hold; what a new copy has entered stays.
local function judge(m)
  local quotas, marks, name, holder, keeps = m[1][1], m[1][2], m[2], m[3], m[5]
  if get(marks, holder) ~= m[4] then return { 'changed' } end
  local mark = cmsgpack.unpack(m[4])
  local held = math.max(mark[2], 0)
  local kept = math.min(keeps, held)
  local left = tonumber(get(quotas, name) or 0) - held + kept
  if left > 0 then put(quotas, name, format('%.0f', left)) else del(quotas, name) end
  if kept > 0 then
    mark[2] = kept
    put(marks, holder, cmsgpack.pack(mark))
  else
    del(marks, holder)
  end
  return { 'ok' }
end

return answer(judge)
