-- Books goods that came back: the issuer's share leaves redeemed; a full refund may give the vouchers back to the person.
-- KEYS 1 header hash, 2 ledger stream, 3.. order bucket, lapsing holds, person buckets, bought bucket? (hashes)
-- ARGV member {{order bucket, lapsing holds, person bucket, ...}, order key, order as the node has read it, units, uses, refund id, amount,
--   {issuer's share per unit}, restore 0|1, most restores of a voucher, {merchant, order, store, terminal}, uses of limits on refunds,
--   {n-th key, what was bought as the node has read it, as it becomes} or {}}
-- Replies: changed {order}; refused limit_reached {n-th use}; ok {order}
-- Keeps: refunds only follow the state they were judged on; redeemed falls by what recovered (after the voucher's end: late) grows,
--   uses <= limits; and a voucher that goes back moves its whole discount to outstanding, taking from recovered what earlier refunds had put there.
local function give_back(m, unit, share, till)
  local c, f, p, u, discount = unit[2], unit[3], unit[4], unit[5], unit[6]
  local byte = unit_byte(m, unit) or 3
  local restores = m[9] == 1 and byte % 4 == UNIT_USED and now < unit[10] and math.floor(byte / 4) < m[10]
  if not restores and share == 0 then return false end
  local to = 'outstanding'
  add(account(unit, 'redeemed'), -share)
  if restores then
    put_unit(m, unit, byte - UNIT_USED + 4, m[2], nil)
    add(account(unit, 'recovered'), share - discount)
    add(account(unit, 'outstanding'), discount)
  else
    to = now < unit[10] and 'recovered' or 'late'
    add(account(unit, to), share)
  end
  tally(unit, 'rf', share)
  line({ 'F', c, f, p, u, share, discount, till[1], till[2], m[6], till[3], till[4], m[7], to })
  return restores
end

local function judge(m)
  local ok, units, shares, till, goods = m[2], m[4], m[8], m[11], m[13]
  local bought = m[1][goods[1]]
  local raw = get(m[1][1], ok)
  if raw ~= m[3] or bought and get(bought, ok) ~= goods[2] then return { 'changed', raw or '' } end
  for i, use in ipairs(m[12]) do
    if not uses_fit(m, { use }) then return { 'refused', 'limit_reached', i } end
  end
  local order = cmsgpack.unpack(raw)
  local total, restored = 0, 0
  for i, unit in ipairs(units) do
    if give_back(m, unit, shares[i], till) then restored = restored + 2 ^ (i - 1) end
    total = total + shares[i]
  end
  count_uses(m, m[5], -1)
  count_uses(m, m[12], 1)
  if bought then put(bought, ok, goods[3]) end
  order[12][#order[12] + 1] = { m[6], m[7], total, now - order[8], restored }
  return { 'ok', put_order(m, ok, order) }
end

return answer(judge, put_records)
