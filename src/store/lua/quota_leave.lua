-- A copy of a claim knows that it has had no effect and never will; when all do, what the claim holds of a quota is given back.
-- KEYS 1 header hash of the index slot, 2 ledger stream (unused), 3.. buckets of quotas and of their marks (hashes)
-- ARGV member {{bucket of the quota, bucket of marks}, name of the quota, mark}
-- Replies: replay (nothing is held); ok
-- Keeps: what a claim holds is given back only when no copy of it can have had its effect.
local function judge(m)
  local quotas, marks, name, holder = m[1][1], m[1][2], m[2], m[3]
  local mark = unpacked(marks, holder)
  if not mark then return { 'replay' } end
  if mark[1] > 1 then
    mark[1] = mark[1] - 1
    put(marks, holder, cmsgpack.pack(mark))
    return { 'ok' }
  end
  local left = tonumber(get(quotas, name) or 0) - mark[2]
  if left > 0 then put(quotas, name, format('%.0f', left)) else del(quotas, name) end
  del(marks, holder)
  return { 'ok' }
end

return answer(judge)
