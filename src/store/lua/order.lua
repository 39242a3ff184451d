-- Shared by the till's scripts, after record.lua: order records, vouchers inside person records, and their money.
-- Order record {version, state, attempt, fingerprint, amount, merchant discount, discount, t0 ms, t1 (ms after t0), until (s after t0;
--   0 = one call), units, refunds, extra}; a void one is {version, state, attempt}.
-- A unit of a member is {n-th key of the member, c, f, p, u, discount, round, channel, pack, end ms, cell}.
-- A use of a limit is {n-th key, f, limit, entity, period, count, amount, most count or -1, most amount or -1}.
local HELD, REDEEMED, CANCELLED, EXPIRED, REVERSED, VOID = 1, 2, 3, 4, 5, 6
local UNIT_AVAILABLE, UNIT_HELD, UNIT_USED = 0, 1, 2

-- Person records that the batch has met, decoded once, by key and field; false when absent. Those that it has changed are encoded once.
local records = {}
local changed, changed_keys, changed_fields = {}, {}, {}

local function record_of(key, field)
  local of_key = records[key]
  if not of_key then
    of_key = {}
    records[key] = of_key
  end
  local record = of_key[field]
  if record == nil then
    record = person_of(key, field) or false
    of_key[field] = record
  end
  return record
end

local function record_changed(key, field)
  local record = records[key][field]
  if changed[record] then return end
  changed[record] = true
  changed_keys[#changed_keys + 1], changed_fields[#changed_fields + 1] = key, field
end

local function put_records()
  for i, key in ipairs(changed_keys) do
    local field = changed_fields[i]
    put_person(key, field, records[key][field])
  end
end

-- The byte of a unit: state in the low two bits, times restored above; nil when the person does not have the unit.
local function unit_byte(m, unit)
  local record = record_of(m[1][unit[1]], unit[3])
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

-- The holds of a record without that of a unit.
local function other_holds(record, p, u)
  local holds = record[5]
  if #holds == 0 then return holds end
  local kept = {}
  for _, hold in ipairs(holds) do
    if hold[1] ~= p or hold[2] ~= u then kept[#kept + 1] = hold end
  end
  return kept
end

-- Sets the byte and the person's hold of a unit; a hold with until = nil ends.
local function put_unit(m, unit, byte, ok, until_ms)
  local key, p, u = m[1][unit[1]], unit[4], unit[5]
  local record = record_of(key, unit[3])
  local pack = record[3][p + 1]
  local units = pack[6]
  if #units < u then units = units .. string.rep('\0', u - #units) end
  units = string.sub(units, 1, u) .. string.char(byte) .. string.sub(units, u + 2)
  pack[6] = byte == 0 and string.gsub(units, '%z+$', '') or units
  local holds = other_holds(record, p, u)
  if until_ms then holds[#holds + 1] = { p, u, until_ms, ok } end
  record[5] = holds
  record_changed(key, unit[3])
end

local ACCOUNTS = { held = 'held', redeemed = 'red', expired = 'exp', recovered = 'rec', late = 'late' }

-- Names of counters by cell and account: a batch moves money between the same few.
local names = {}
local function name_in(cell, account, suffix)
  local of_cell = names[cell]
  if not of_cell then
    of_cell = {}
    names[cell] = of_cell
  end
  local name = of_cell[account]
  if not name then
    name = cell .. ':' .. suffix
    of_cell[account] = name
  end
  return name
end

local function account(unit, name)
  if name ~= 'outstanding' then return name_in(unit[11], name, ACCOUNTS[name]) end
  local hour = math.ceil(unit[10] / 3600000)
  return name_in(unit[11], hour, 'out:' .. hour)
end

local function move(unit, from, to, fen)
  add(account(unit, from), -fen)
  add(account(unit, to), fen)
end

-- Counts redemptions and what they gave or gave back; these only grow.
local function tally(unit, name, n)
  add(name_in(unit[11], name, name), n)
end

-- What a person has used of a limit in its period, and where it stands in the record.
local function used(record, use)
  for i, entry in ipairs(record[4]) do
    if entry[1] == use[3] and entry[2] == use[4] and entry[3] == use[5] then return entry, i end
  end
end

local function uses_fit(m, uses)
  for _, use in ipairs(uses) do
    local record = record_of(m[1][use[1]], use[2])
    if not record then return false end
    local entry = used(record, use)
    local count, amount = entry and entry[4] or 0, entry and entry[5] or 0
    local count_fits = use[8] < 0 or count + use[6] <= use[8]
    local amount_fits = use[9] < 0 or amount + use[7] <= use[9]
    if not (count_fits and amount_fits) then return false end
  end
  return true
end

-- Counts uses (sign 1) or gives them back (sign -1). Older periods of a counted limit leave the record: it stays small.
local function count_uses(m, uses, sign)
  for _, use in ipairs(uses) do
    local key = m[1][use[1]]
    local record = record_of(key, use[2])
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
    record_changed(key, use[2])
  end
end

-- Ends a hold: its vouchers go back to the person, or to expired when their time is over.
local function release(m, ok, units, uses, why)
  for _, unit in ipairs(units) do
    local to = now < unit[10] and 'outstanding' or 'expired'
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

