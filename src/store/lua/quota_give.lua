-- Gives back of a quota what an attempt of an order holds beyond what its effect is known to use, once.
-- KEYS 1 header hash of the index slot, 2 ledger stream (unused), 3.. buckets of quotas and of their marks (hashes)
-- ARGV member {{bucket of the quota, bucket of marks}, name of the quota, mark, attempt, generation or -1 for any, what it keeps}
-- Replies: replay (a later attempt or generation is there, or given back before); ok
-- Keeps: what an attempt holds is given back at most once, and after all of it no late copy of its generation takes anything.
local function judge(m)
  local quotas, marks, name, holder, attempt, generation, keeps = m[1][1], m[1][2], m[2], m[3], m[4], m[5], m[6]
  local mark = unpacked(marks, holder) or { attempt, 0, 0 }
  local same = mark[1] == attempt
  if mark[1] > attempt or (same and mark[2] < 0) then return { 'replay' } end
  if same and generation >= 0 and mark[3] > generation then return { 'replay' } end
  -- What an attempt before this one held is void with it.
  local held = math.max(mark[2], 0)
  local kept = same and math.min(keeps, held) or 0
  local left = tonumber(get(quotas, name) or 0) - held + kept
  if left > 0 then put(quotas, name, format('%.0f', left)) else del(quotas, name) end
  put(marks, holder, cmsgpack.pack({ attempt, kept > 0 and kept or -1, math.max(generation, same and mark[3] or 0) }))
  return { 'ok' }
end

return answer(judge)
