-- Shared by the till's scripts, after record.lua: order records, vouchers inside person records, and their money.
-- Order record {version, state, attempt, fingerprint, amount, merchant discount, discount, t0 ms, t1 (ms after t0), until (s after t0;
--   0 = one call), units, refunds, extra}; a void one is {version, state, attempt}.
-- A unit of a member is {n-th key of the member, c, f, p, u, discount, round, channel, pack, received s, end ms}; an order keeps 2 to 10.
-- A use of a limit is {n-th key, f, limit, entity, period, count, amount, most count or -1, most amount or -1}.
local HELD, REDEEMED, CANCELLED, EXPIRED, REVERSED, VOID = 1, 2, 3, 4, 5, 6
local UNIT_AVAILABLE, UNIT_HELD, UNIT_USED = 0, 1, 2

-- The byte of a unit: state in the low two bits, times restored above; nil when the person does not have the unit.
local function unit_byte(m, unit)
  local record = person_of(m[1][unit[1]], unit[3])
  local pack = record and record[3][unit[4] + 1]
  if not pack or pack[1] ~= unit[7] or pack[2] ~= unit[8] or pack[3] ~= unit[9] then return nil end
  return byte(pack[6], unit[5] + 1) or 0
end

local function unit_is(m, unit, state)
  local byte = unit_byte(m, unit)
  return byte ~= nil and byte % 4 == state
end

local function all_units_are(m, units, state)
  for _, unit in ipairs(units) do
    if not unit_is(m, unit, state) then return false end
  end
  return true
end

-- Sets the byte and the person's hold of a unit; a hold with until = nil ends.
local function put_unit(m, unit, byte, ok, until_ms)
  local key = m[1][unit[1]]
  local record = person_of(key, unit[3])
  local pack, p, u = record[3][unit[4] + 1], unit[4], unit[5]
  local units = pack[6] .. string.rep('\0', u - #pack[6])
  pack[6] = (string.gsub(string.sub(units, 1, u) .. string.char(byte) .. string.sub(units, u + 2), '%z+$', ''))
  local holds = {}
  for _, hold in ipairs(record[5]) do
    if hold[1] ~= p or hold[2] ~= u then holds[#holds + 1] = hold end
  end
  if until_ms then holds[#holds + 1] = { p, u, until_ms, ok } end
  record[5] = holds
  put_person(key, unit[3], record)
end

local ACCOUNTS = { held = 'held', redeemed = 'red', expired = 'exp', recovered = 'rec', late = 'late' }

local function account(unit, name)
  local cell = 'n:' .. unit[2] .. ':' .. unit[7] .. ':' .. unit[8] .. ':' .. unit[9] .. ':'
  if name == 'outstanding' then return cell .. 'out:' .. math.ceil(unit[11] / 3600000) end
  return cell .. ACCOUNTS[name]
end

local function move(unit, from, to, fen)
  add(account(unit, from), -fen)
  add(account(unit, to), fen)
end

-- Counts redemptions and what they gave or gave back; these only grow.
local function tally(unit, name, n)
  local cell = 'n:' .. unit[2] .. ':' .. unit[7] .. ':' .. unit[8] .. ':' .. unit[9] .. ':'
  add(cell .. name, n)
end

-- What a person has used of a limit in its period, and where it stands in the record.
local function used(record, use)
  for i, entry in ipairs(record[4]) do
    if entry[1] == use[3] and entry[2] == use[4] and entry[3] == use[5] then return entry, i end
  end
end

local function uses_fit(m, uses)
  for _, use in ipairs(uses) do
    local record = person_of(m[1][use[1]], use[2])
    local entry = record and used(record, use) or { 0, '', 0, 0, 0 }
    local count_fits = use[8] < 0 or entry[4] + use[6] <= use[8]
    local amount_fits = use[9] < 0 or entry[5] + use[7] <= use[9]
    if not record or not (count_fits and amount_fits) then return false end
  end
  return true
end

-- Counts uses (sign 1) or gives them back (sign -1). Older periods of a counted limit leave the record: it stays small.
local function count_uses(m, uses, sign)
  for _, use in ipairs(uses) do
    local key = m[1][use[1]]
    local record = person_of(key, use[2])
    local entry = used(record, use)
    local kept = {}
    for _, other in ipairs(record[4]) do
      local older = sign > 0 and other[1] == use[3] and other[3] < use[5]
      if not older and other ~= entry then kept[#kept + 1] = other end
    end
    local count = (entry and entry[4] or 0) + sign * use[6]
    local amount = (entry and entry[5] or 0) + sign * use[7]
    if count > 0 then kept[#kept + 1] = { use[3], use[4], use[5], count, math.max(amount, 0) } end
    record[4] = kept
    put_person(key, use[2], record)
  end
end

local function kept_units(units)
  local kept = {}
  for i, unit in ipairs(units) do
    kept[i] = { unit[2], unit[3], unit[4], unit[5], unit[6], unit[7], unit[8], unit[9], unit[10] }
  end
  return kept
end

-- Ends a hold: its vouchers go back to the person, or to expired when their time is over.
local function release(m, ok, units, uses, why)
  for _, unit in ipairs(units) do
    local to = now < unit[11] and 'outstanding' or 'expired'
    put_unit(m, unit, unit_byte(m, unit) - UNIT_HELD + UNIT_AVAILABLE, ok, nil)
    move(unit, 'held', to, unit[6])
    line({ 'X', unit[2], unit[3], unit[4], unit[5], unit[6], ok, to, why })
  end
  count_uses(m, uses, -1)
end

local function put_order(m, ok, order)
  local packed = cmsgpack.pack(order)
  put(m[1][1], ok, packed)
  return packed
end

-- Takes an order off the list of lapsing holds.
local function unlist(m, ok)
  get(m[1][2], ok)
  del(m[1][2], ok)
end
