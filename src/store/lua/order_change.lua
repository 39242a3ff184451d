-- Changes an order and with it what its payer has: the one step in which vouchers are held, redeemed, given back or refunded. The node has
-- judged the change on what it has read and says what becomes of that; when anything has moved since, nothing happens and it judges again.
-- KEYS 1 header hash, 2 ledger stream, 3.. order bucket, then whatever else changes: person buckets and their histories, pay code,
--   lapsing holds (hashes)
-- ARGV member flat: the instants from which and until which the change holds, and the one from which its order counts time, as doubles of ms;
--   seconds of a hold that begins u16; then
--   n fields, one for each key, the order first: n, and of each u8 and name, whether it is compared 0|1, u32 and bytes as they were read
--     ('' = absent), what stands between its pieces (BETWEEN, or HAPPENED), number of pieces (0 = the field goes), and of each u32 and bytes
--   n counters that must not be lower: n, and of each u8 and name, double
--   n ledger lines: n, and of each u16 and bytes
-- Shared, one for each movement of money: {{counter, n, ...}, field of what has lapsed or '', fen, length of a stretch in ms}
-- Replies: changed {order or ''}; refused plan_stale; the instant = ok
-- Keeps: an order has at most one effect and a unit at most one live hold or redemption, for whoever changes one has seen it as it is.

-- What only the script knows: its instant, counted from where the order counts, and the end of a hold that begins now.
local BETWEEN = {
  [0] = function() return '' end,
  function(base) return cmsgpack.pack(now - base) end,
  function(_, ends) return cmsgpack.pack(ends) end,
  function(_, ends) return format('%.0f', ends) end,
}

-- A field of a person's history: where this call stands in the ledger comes behind what is there. `store/history.rs` says its bytes.
local HAPPENED = 4
local LONGEST, MOST = 57, 65535

local function happened(key, field)
  local place = struct.pack('>I5', counter('seq') + 1)
  local places = get(key, field) or '\0\0'
  if #places > 2 and sub(places, -5) == place then return end
  local full = struct.unpack('>I2', places)
  if #places >= LONGEST and full < MOST then
    local apart = field .. sub(places, 1, 2)
    get(key, apart)
    put(key, apart, sub(places, 3))
    places = struct.pack('>I2', full + 1)
  end
  put(key, field, places .. place)
end

local function pieces_at(member, place, count, between)
  if count == 0 then return false, place end
  local pieces = {}
  for n = 1, count do
    pieces[n], place = struct.unpack('>I4c0', member, place)
  end
  return table.concat(pieces, between), place
end

-- What becomes of the fields, and the place behind them; else a refusal.
local function fields_at(member, place, base, ends)
  local fields, refusal = {}, nil
  local n = byte(member, place)
  place = place + 1
  for i = 1, n do
    local key = byte(member, 2 + i)
    local name, compared, seen, between, count
    name, compared, seen, between, count, place = struct.unpack('>Bc0BI4c0BB', member, place)
    local is = get(key, name) or ''
    if compared == 1 and is ~= seen then
      return nil, i == 1 and { 'changed', is } or { 'refused', 'plan_stale' }
    end
    local becomes
    if between == HAPPENED then
      becomes = HAPPENED
    else
      becomes, place = pieces_at(member, place, count, BETWEEN[between](base, ends))
    end
    fields[i] = { key, name, becomes }
  end
  return fields, place
end

local function counters_suffice(member, place)
  local n = byte(member, place)
  local name, least
  place = place + 1
  for _ = 1, n do
    name, least, place = struct.unpack('>Bc0d', member, place)
    if counter(name) < least then return nil end
  end
  return place
end

-- How much ran out in this stretch of the length of a late confirm, and in the one before: money_carry leaves as much where a late
-- confirm finds it.
local function note_lapsed(name, fen, length)
  local stretch = floor(now / length)
  local field = name .. ':' .. stretch % 2
  local of, before = string.match(get(1, field) or '', '^(%d+):(%d+)$')
  before = tonumber(of) == stretch and tonumber(before) or 0
  put(1, field, format('%.0f:%.0f', stretch, before + fen))
end

local function move(money)
  local moves = money[1]
  for i = 1, #moves, 2 do add(moves[i], moves[i + 1]) end
  if money[2] ~= '' then note_lapsed(money[2], money[3], money[4]) end
end

local function append_lines(member, place)
  local n = byte(member, place)
  local one
  place = place + 1
  for _ = 1, n do
    one, place = struct.unpack('>I2c0', member, place)
    line(one)
  end
end

local function judge(member)
  local keys, moves = byte(member, 1, 2)
  local from, till, base, seconds, place = struct.unpack('>dddI2', member, 3 + keys + moves)
  local fields, behind = fields_at(member, place, base, now + seconds * 1000)
  if not fields then return behind end
  local lines = now >= from and now < till and counters_suffice(member, behind)
  if not lines then return { 'refused', 'plan_stale' } end
  for _, field in ipairs(fields) do
    if field[3] == HAPPENED then happened(field[1], field[2]) else put(field[1], field[2], field[3]) end
  end
  for i = 3 + keys, 2 + keys + moves do move(shared[byte(member, i)]) end
  append_lines(member, lines)
  return now
end

return answer_flat(judge)
