-- Adds a lease of the pool to what a shard may issue; a repeat, or a lease out of its turn, changes nothing.
-- KEYS 1 header hash, 2 ledger stream
-- ARGV member {{}, allowance field, k = number of the lease, packs}
-- Replies: ok {leases applied, packs the shard may still issue}
-- Keeps: each lease is applied once, in order.
local function judge(m)
  local allowance, k, n = m[2], m[3], m[4]
  if counter(allowance .. ':k') == k - 1 then
    add(allowance, n)
    add(allowance .. ':k', 1)
  end
  return { 'ok', counter(allowance .. ':k'), counter(allowance) - counter(allowance .. ':issued') }
end

return answer(judge)
