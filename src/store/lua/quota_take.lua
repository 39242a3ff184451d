-- Takes of a quota for an attempt of an order before its effect, or again for a late confirm; of a refund each copy takes again.
-- KEYS 1 header hash of the index slot, 2 ledger stream (unused), 3.. buckets of quotas and of their marks (hashes)
-- ARGV member {{bucket of the quota, bucket of marks}, name of the quota, mark, attempt, n, most, generation, -1 = the next one}
-- A mark is {attempt, what it holds or -1 when that was given back, generation}.
-- Replies: refused attempt_void; refused limit_reached; ok {what it holds, generation, what it held before}
-- Keeps: a quota is what its marks hold, and <= most; what an attempt holds is never less than what any copy of it has applied; what was
--   given back of a generation is taken again only by a later one.
local function judge(m)
  local quotas, marks, name, holder, attempt, n, most, generation = m[1][1], m[1][2], m[2], m[3], m[4], m[5], m[6], m[7]
  local mark = unpacked(marks, holder) or { attempt, 0, 0 }
  local same = mark[1] == attempt
  local last = same and mark[3] or 0
  if generation < 0 then generation = last + 1 end
  if mark[1] > attempt or (same and mark[2] < 0 and generation <= last) then return { 'refused', 'attempt_void' } end
  -- What an attempt before this one held is void with it.
  local held = math.max(mark[2], 0)
  local holds = same and math.max(held, n) or n
  local used = tonumber(get(quotas, name) or 0) + holds - held
  if holds > held and used > most then return { 'refused', 'limit_reached' } end
  generation = math.max(last, generation)
  put(quotas, name, format('%.0f', used))
  put(marks, holder, cmsgpack.pack({ attempt, holds, generation }))
  return { 'ok', holds, generation, same and held or 0 }
end

return answer(judge)
