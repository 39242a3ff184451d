-- Shared by the scripts that read or write a person's record, after lib.lua.
-- A record is bytes: number of entries, number of packs, 23 bytes of the pseudonym, the entries, the packs, and what few records have,
--   uses of limits and holds, as msgpack {uses, holds} or nothing.
-- An entry: round, channel, choice, mark + 4 * n, second u32, then n digests of 8 bytes.
-- A pack: round, channel, pack, n, number u32, second u32, then a byte for each of n units.
local ANY = 255
local EMPTY = '\0\0'
local ENTRIES = 26

-- A second or a number as the record keeps it.
local function u32(n)
  return struct.pack('>I4', n)
end

-- The place behind the last entry, and the mark of the entry of a round and channel if there is one.
local function look_at_entries(record, round, channel)
  local place, found = ENTRIES, nil
  for _ = 1, byte(record, 1) do
    local r, c, _, flags = byte(record, place, place + 3)
    if r == round and c == channel then found = flags % 4 end
    place = place + 8 + 8 * floor(flags / 4)
  end
  return place, found
end

local function entries_of(record)
  local entries, place = {}, ENTRIES
  for i = 1, byte(record, 1) do
    local round, channel, choice, flags = byte(record, place, place + 3)
    local digests, mark = 8 * floor(flags / 4), flags % 4
    entries[i] = { round, channel, choice, (struct.unpack('>I4', record, place + 4)),
      digests > 0 and sub(record, place + 8, place + 7 + digests) or nil, mark > 0 and mark or nil }
    place = place + 8 + digests
  end
  return entries, place
end

-- The packs that begin at a place.
local function packs_at(record, place)
  local packs = {}
  for i = 1, byte(record, 2) do
    local round, channel, pack, units = byte(record, place, place + 3)
    local number, at = struct.unpack('>I4I4', record, place + 4)
    packs[i] = { round, channel, pack, number, at, sub(record, place + 12, place + 11 + units) }
    place = place + 12 + units
  end
  return packs, place
end

-- A record as tables: {23 bytes, entries {round, channel, choice, at, digests or nil, mark or nil}, packs {round, channel, pack, number, at,
-- units}, uses {limit, entity, period, count, amount}, holds {pack, unit, until ms, order}}; nil when there is none.
local function decoded(record)
  if not record then return nil end
  local entries, behind = entries_of(record)
  local packs, rest = packs_at(record, behind)
  local more = rest <= #record and cmsgpack.unpack(sub(record, rest)) or { {}, {} }
  return { sub(record, 3, 25), entries, packs, more[1], more[2] }
end

local function encoded(person)
  local parts = { char(#person[2], #person[3]), person[1] }
  for _, entry in ipairs(person[2]) do
    local digests = entry[5] or ''
    parts[#parts + 1] = char(entry[1], entry[2], entry[3], (entry[6] or 0) + #digests / 2) .. u32(entry[4]) .. digests
  end
  for _, pack in ipairs(person[3]) do
    parts[#parts + 1] = char(pack[1], pack[2], pack[3], #pack[6]) .. u32(pack[4]) .. u32(pack[5]) .. pack[6]
  end
  if #person[4] > 0 or #person[5] > 0 then parts[#parts + 1] = cmsgpack.pack({ person[4], person[5] }) end
  return table.concat(parts)
end

local function person_of(key, field)
  return decoded(get(key, field))
end

local function put_person(key, field, person)
  put(key, field, encoded(person))
end
