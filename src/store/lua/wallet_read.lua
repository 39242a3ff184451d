-- Reads what a plan is made of at one instant: an order, a pay code, a person's records of all campaigns. Writes nothing.
-- KEYS 1 header hash, 2 ledger stream, 3.. order buckets, pay codes, person buckets (hashes)
-- ARGV member flat: of each key, length and bytes of the field
-- Replies: bytes: now as a double, then of each key, u32 length and bytes of the value; 0 when it is absent
-- Keeps: everything a plan is made of was true together.
local instant = '\0' .. struct.pack('>d', now)

local function judge(member)
  local keys = byte(member, 1)
  local values, place = { instant }, 3 + keys
  for n = 1, keys do
    local length = byte(member, place)
    local value = get(byte(member, 2 + n), sub(member, place + 1, place + length)) or ''
    values[n + 1] = struct.pack('>I4', #value) .. value
    place = place + 1 + length
  end
  return table.concat(values)
end

return answer_flat(judge)
