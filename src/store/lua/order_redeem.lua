-- Holds or redeems the planned vouchers for an order, all or none; a repeat answers the order that is there. The node has planned on
-- the very records that are here, and says what becomes of them; if one has changed meanwhile, it plans again.
-- KEYS 1 header hash, 2 ledger stream, 3.. order bucket, person buckets, bought bucket?, pay code?, lapsing holds? (hashes)
-- ARGV member flat: order key 12, fingerprint 8, attempt u32, hold seconds u16 (0 = redeem in one call), until when the plan holds as a
--   double of ms, whether the payer showed a pay code 0|1, then
--   n records: n, and of each field 9, u32 and bytes of the record, pieces, and of each u32 and bytes: what it becomes, with the end of the
--     hold between the pieces
--   what the pay code's record says behind its order, u16 and bytes
--   the order's record before its instant and after it, u16 and bytes each
--   n ledger lines: n, and of each u16 and bytes
--   what was bought, to the end of the member; nothing if the till has not said it
-- Shared, one for each voucher: {counter it leaves, counter it goes to, discount, counter of redemptions or '', counter of what they gave}
-- Replies: refused order_reversed; refused attempt_void; refused order_conflict {order}; replay {order}; refused plan_stale; the instant = ok
-- Keeps: an order has at most one effect; a unit has at most one live hold or redemption; uses <= limits; one code pays one order;
--   outstanding falls by what held or redeemed grows.
local NO_ORDER = string.rep('\0', 12)
local REVERSED, VOID = 5, 6

local function standing(raw, attempt, fingerprint)
  local order = cmsgpack.unpack(raw)
  if order[2] == REVERSED then return { 'refused', 'order_reversed' } end
  if order[2] == VOID then
    return order[3] >= attempt and { 'refused', 'attempt_void' } or nil
  end
  if order[4] ~= fingerprint then return { 'refused', 'order_conflict', raw } end
  return { 'replay', raw }
end

-- The records as they become, or nil when one is not what the plan was made of; and the place behind them.
local function records_at(member, place, until_bytes)
  local records = {}
  local n = byte(member, place)
  place = place + 1
  for i = 1, n do
    local key, pieces = byte(member, 3 + i), {}
    local field, before, count
    field, before, count, place = struct.unpack('>c9I4c0B', member, place)
    if get(key, field) ~= before then return nil end
    for piece = 1, count do
      pieces[piece], place = struct.unpack('>I4c0', member, place)
    end
    records[i] = { key, field, table.concat(pieces, until_bytes) }
  end
  return records, place
end

-- A code pays if it is the person's, as the node knows, and has paid nothing else.
local function code_pays(key, ok, known)
  local code = get(key, 'v')
  if not code or sub(code, 13) ~= known then return false end
  local paid = sub(code, 1, 12)
  return paid == NO_ORDER or paid == ok
end

local function move(place)
  local unit = shared[place]
  add(unit[1], -unit[3])
  add(unit[2], unit[3])
  if unit[4] ~= '' then
    add(unit[4], 1)
    add(unit[5], unit[3])
  end
end

local function append_lines(member, place)
  local n = byte(member, place)
  local one
  place = place + 1
  for _ = 1, n do
    one, place = struct.unpack('>I2c0', member, place)
    line(one)
  end
  return place
end

-- The node writes the order's record, for it knows everything in it but when it takes effect.
local instant = cmsgpack.pack(now)

local function judge(member)
  local keys, moves = byte(member, 1, 2)
  local orders, body = byte(member, 3), 3 + keys + moves
  local ok, fingerprint, attempt, hold_seconds, valid_until, has_code, place = struct.unpack('>c12c8I4I2dB', member, body)
  local raw = get(orders, ok)
  local reply = raw and standing(raw, attempt, fingerprint)
  if reply then return reply end
  if now >= valid_until then return { 'refused', 'plan_stale' } end
  local ends = hold_seconds > 0 and now + hold_seconds * 1000
  local lapsing = ends and byte(member, 2 + keys)
  local code_key = has_code == 1 and byte(member, 2 + keys - (ends and 1 or 0))
  local records, behind = records_at(member, place, ends and cmsgpack.pack(ends) or '')
  if not records then return { 'refused', 'plan_stale' } end
  local known, head, tail, last = struct.unpack('>I2c0I2c0I2c0', member, behind)
  if code_key and not code_pays(code_key, ok, known) then return { 'refused', 'plan_stale' } end
  for _, record in ipairs(records) do put(record[1], record[2], record[3]) end
  for i = 3 + keys, 2 + keys + moves do move(byte(member, i)) end
  local goods = append_lines(member, last)
  if goods <= #member then
    local bucket = byte(member, 4 + #records)
    get(bucket, ok)
    put(bucket, ok, sub(member, goods))
  end
  if code_key then put(code_key, 'v', ok .. known) end
  if ends then
    get(lapsing, ok)
    put(lapsing, ok, format('%.0f', ends))
  end
  put(orders, ok, head .. instant .. tail)
  return now
end

return answer_flat(judge)
