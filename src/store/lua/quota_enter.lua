-- Counts a claim towards a quota before its pack is issued; every copy of the claim that is on its way is noted.
-- KEYS 1 header hash of the index slot, 2 ledger stream (unused), 3.. buckets of quotas and of their marks (hashes)
-- ARGV member {{bucket of the quota, bucket of marks}, name of the quota, mark, n, most}
-- A mark is {copies of the claim that may have had their effect, what the claim holds, 0, instant of the last copy ms}; older ones lack
-- the last two.
-- Replies: refused limit_reached; ok
-- Keeps: a quota is what its marks hold, and <= most; however many copies a claim has, it is counted once.
local function judge(m)
  local quotas, marks, name, holder, n, most = m[1][1], m[1][2], m[2], m[3], m[4], m[5]
  local mark = unpacked(marks, holder) or { 0, 0 }
  local used = tonumber(get(quotas, name) or 0)
  if mark[1] == 0 then
    if used + n > most then return { 'refused', 'limit_reached' } end
    mark[2] = n
    put(quotas, name, format('%.0f', used + n))
  end
  put(marks, holder, cmsgpack.pack({ mark[1] + 1, mark[2], 0, now }))
  return { 'ok' }
end

return answer(judge)
