-- Holds or redeems the planned vouchers for an order, all or none; a repeat answers the order that is there.
-- KEYS 1 header hash, 2 ledger stream, 3.. order bucket, lapsing holds, person buckets, pay code (hashes)
-- ARGV member {{order bucket, lapsing holds, person bucket, ..., pay code?}, order key, attempt, fingerprint, hold seconds (0 = redeem in
--   one call), units, uses, n-th key of the pay code or 0, the order's record before its instant, and after it, amount, {merchant, order,
--   transaction, store, terminal, category}, or {} for a hold}
-- Replies: refused order_reversed; refused attempt_void; refused order_conflict {order}; replay {order}; refused plan_stale; ok {its instant}
-- Keeps: an order has at most one effect; a unit has at most one live hold or redemption; uses <= limits; one code pays one order;
--   outstanding falls by what held or redeemed grows.
local function standing(m, order, raw)
  if order[2] == REVERSED then return { 'refused', 'order_reversed' } end
  if order[2] == VOID then
    return order[3] >= m[3] and { 'refused', 'attempt_void' } or nil
  end
  if order[4] ~= m[4] then return { 'refused', 'order_conflict', raw } end
  return { 'replay', raw }
end

-- The node planned on what it had read; whatever has changed since makes it plan again.
local function plan_holds(m, code)
  local units, uses = m[6], m[7]
  if m[8] > 0 and (not code or (code[4] ~= '' and code[4] ~= m[2])) then return false end
  for _, unit in ipairs(units) do
    if now >= unit[10] then return false end
  end
  return all_units_are(m, units, UNIT_AVAILABLE) and uses_fit(m, uses)
end

local function take(m, unit, hold_seconds)
  local c, f, p, u, discount, till = unit[2], unit[3], unit[4], unit[5], unit[6], m[12]
  local byte = unit_byte(m, unit)
  if hold_seconds > 0 then
    put_unit(m, unit, byte + UNIT_HELD, m[2], now + hold_seconds * 1000)
    move(unit, 'outstanding', 'held', discount)
    line({ 'H', c, f, p, u, discount, m[2] })
  else
    put_unit(m, unit, byte + UNIT_USED, m[2], nil)
    move(unit, 'outstanding', 'redeemed', discount)
    tally(unit, 'rn', 1)
    tally(unit, 'rg', discount)
    line({ 'D', c, f, p, u, discount, till[1], till[2], till[3], till[4], till[5], m[11], till[6] })
  end
end

-- The node writes the order's record, for it knows everything in it but when it takes effect.
local instant = cmsgpack.pack(now)

local function judge(m)
  local orders, ok, hold_seconds, code_key = m[1][1], m[2], m[5], m[8]
  local raw = get(orders, ok)
  if raw then
    local reply = standing(m, cmsgpack.unpack(raw), raw)
    if reply then return reply end
  end
  local code = code_key > 0 and unpacked(m[1][code_key], 'v')
  if not plan_holds(m, code) then return { 'refused', 'plan_stale' } end
  for _, unit in ipairs(m[6]) do
    take(m, unit, hold_seconds)
  end
  count_uses(m, m[7], 1)
  if code then
    code[4] = ok
    put(m[1][code_key], 'v', cmsgpack.pack(code))
  end
  if hold_seconds > 0 then
    get(m[1][2], ok)
    put(m[1][2], ok, string.format('%.0f', now + hold_seconds * 1000))
  end
  put(orders, ok, m[9] .. instant .. m[10])
  return { 'ok', now }
end

return answer(judge, put_records)
