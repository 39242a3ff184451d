-- Takes back whatever an attempt has done on its shard and leaves a mark that refuses every later copy, even of an order never seen.
-- KEYS 1 header hash, 2 ledger stream, 3.. order bucket, lapsing holds, person buckets (hashes)
-- ARGV member {{order bucket, lapsing holds, person bucket, ...}, order key, order as the node has read it ('' = none), units, uses,
--   attempt, {merchant, order, attempt, store, terminal}}
-- Replies: changed {order}; refused internal (a held order without its vouchers); replay {order}; ok {order}
-- Keeps: a reversed order stays reversed; held or redeemed falls by what outstanding (or expired, recovered) grows.

-- A use that never was leaves the voucher to its person: usable, or expired by now; one that was revoked meanwhile stays so.
local function give_back(m, order, units, till)
  for _, unit in ipairs(units) do
    local used = unit_is(m, unit, UNIT_USED)
    local to = not used and 'recovered' or now < unit[10] and 'outstanding' or 'expired'
    if used then put_unit(m, unit, unit_byte(m, unit) - UNIT_USED, m[2], nil) end
    move(unit, 'redeemed', to, unit[6])
    tally(unit, 'rf', unit[6])
    line({ 'V', unit[2], unit[3], unit[4], unit[5], unit[6], till[1], till[2], till[3], till[4], till[5], order[5], to })
  end
  count_uses(m, m[5], -1)
end

local function judge(m)
  local ok, units, attempt, till = m[2], m[4], m[6], m[7]
  local raw = get(m[1][1], ok)
  if (raw or '') ~= m[3] then return { 'changed', raw or '' } end
  local order = raw and cmsgpack.unpack(raw)
  if order and order[2] == REVERSED then return { 'replay', raw } end
  if not order or order[2] == VOID then
    return { 'ok', put_order(m, ok, { 1, REVERSED, attempt, '', 0, 0, 0, now, 0, 0, {}, {}, { 'unknown', 0 } }) }
  end
  local was = order[2] == REDEEMED and 'redeemed' or 'held'
  if order[2] == HELD then
    if not all_units_are(m, units, UNIT_HELD) then return { 'refused', 'internal' } end
    release(m, ok, units, m[5], 'reverse')
    unlist(m, ok)
  elseif order[2] == REDEEMED then
    give_back(m, order, units, till)
  end
  local receipt = order[13]
  order[2], order[13] = REVERSED, { was, now - order[8] }
  if receipt[7] then order[13] = { was, now - order[8], receipt[1], receipt[2], receipt[7], receipt[8] } end
  return { 'ok', put_order(m, ok, order) }
end

return answer(judge, put_records)
