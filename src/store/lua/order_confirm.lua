-- Redeems what an order holds; late, it takes the vouchers again if they are still free. Their validity was judged at the hold.
-- KEYS 1 header hash, 2 ledger stream, 3.. order bucket, lapsing holds, person buckets (hashes)
-- ARGV member {{order bucket, lapsing holds, person bucket, ...}, order key, order as the node has read it, units, uses,
--   ms after the hold in which a late confirm is taken, {merchant, order, attempt, store, terminal, category}}
-- Replies: changed {order}; refused hold_expired; ok {order}
-- Keeps: a hold ends once; held (or, late, outstanding) falls by what redeemed grows; what had expired is outstanding again first.

-- Where each unit's money went when the hold ran out: a voucher that has ended meanwhile may have taken it to expired. What was
-- handed on from there may be in other packs by now: then nil.
local function lapsed_to(units)
  local wanted, from = {}, {}
  for _, unit in ipairs(units) do
    local out, exp = account(unit, 'outstanding'), account(unit, 'expired')
    wanted[out], wanted[exp] = (wanted[out] or 0) + unit[6], wanted[exp] or 0
  end
  for i, unit in ipairs(units) do
    local out, exp = account(unit, 'outstanding'), account(unit, 'expired')
    from[i] = 'outstanding'
    if counter(out) < wanted[out] then
      wanted[exp] = wanted[exp] + unit[6]
      if counter(exp) < wanted[exp] then return nil end
      from[i] = 'expired'
    end
  end
  return from
end

-- An expiry that did not happen for this unit: the line of one, with its money going back.
local function unexpire(unit)
  move(unit, 'expired', 'outstanding', unit[6])
  local hour = tonumber(string.match(account(unit, 'outstanding'), '%d+$'))
  line({ 'E', unit[2], unit[7], unit[8], unit[9], hour, -unit[6] })
end

-- What a receipt said without what only the hold needed; an order of a campaign with limits by place keeps all of it.
local function without_hold(receipt)
  if receipt[6] and receipt[6] ~= '' then return receipt end
  if not receipt[7] then return { receipt[1], receipt[2] } end
  return { receipt[1], receipt[2], '', '', '', '', receipt[7], receipt[8] }
end

local function judge(m)
  local ok, units, uses, grace, till = m[2], m[4], m[5], m[6], m[7]
  local raw = get(m[1][1], ok)
  if raw ~= m[3] then return { 'changed', raw or '' } end
  local order = cmsgpack.unpack(raw)
  local still_held = order[2] == HELD
  if now >= order[8] + order[10] * 1000 + grace then return { 'refused', 'hold_expired' } end
  if not all_units_are(m, units, still_held and UNIT_HELD or UNIT_AVAILABLE) then return { 'refused', 'hold_expired' } end
  local from = not still_held and lapsed_to(units)
  if not still_held then
    if not from or not uses_fit(m, uses) then return { 'refused', 'hold_expired' } end
    count_uses(m, uses, 1)
  end
  for i, unit in ipairs(units) do
    if from and from[i] == 'expired' then unexpire(unit) end
    put_unit(m, unit, unit_byte(m, unit) - (still_held and UNIT_HELD or 0) + UNIT_USED, ok, nil)
    move(unit, still_held and 'held' or 'outstanding', 'redeemed', unit[6])
    tally(unit, 'rn', 1)
    tally(unit, 'rg', unit[6])
    line({ still_held and 'K' or 'D', unit[2], unit[3], unit[4], unit[5], unit[6], till[1], till[2], till[3], till[4], till[5],
      order[5], till[6] })
  end
  order[2], order[9] = REDEEMED, now - order[8]
  order[13] = without_hold(order[13])
  unlist(m, ok)
  return { 'ok', put_order(m, ok, order) }
end

return answer(judge, put_records)
