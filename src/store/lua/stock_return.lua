-- Takes back what a shard has not issued, after its last lease was applied; what the pool has not acknowledged is only sent again.
-- KEYS 1 header hash, 2 ledger stream
-- ARGV member {{}, allowance field, k = number of the last lease, packs of it, j = returns that the pool has}
-- Replies: ok {leases applied, j of the last return, packs of it, packs the shard may still issue}
-- Keeps: allowance + packs returned is unchanged but for a lease; a shard has at most one return that the pool has not seen.
local function judge(m)
  local allowance, k, n, acknowledged = m[2], m[3], m[4], m[5]
  if counter(allowance .. ':k') == k - 1 then
    add(allowance, n)
    add(allowance .. ':k', 1)
  end
  local left = counter(allowance) - counter(allowance .. ':issued')
  if counter(allowance .. ':j') == acknowledged and left > 0 then
    add(allowance, -left)
    add(allowance .. ':j', 1)
    get(1, allowance .. ':r')
    put(1, allowance .. ':r', left)
    left = 0
  end
  return { 'ok', counter(allowance .. ':k'), counter(allowance .. ':j'), counter(allowance .. ':r'), left }
end

return answer(judge)
