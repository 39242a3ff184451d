-- Gives back the caps of an attempt, each part of them once; on its shard it must be void, have ended without a use, or have goods back first.
-- Some of them may stay counted: those of vouchers whose campaign's goods are not back, or that counts a use whose goods are.
-- KEYS 1 header hash of the merchant slot, 2 ledger stream (unused), 3.. directory buckets (hash)
-- ARGV member {{directory bucket}, order key, attempt, generation of its caps or -1 for any,
--   {{cap counter, what stays of it}, ...}}
-- Replies: replay (another attempt or generation, or reversed); replay {{quota, ...} of which it may hold something} (released before);
--   ok {{quota, ...}}
-- Keeps: no part of the caps of an attempt is given back twice.
local function judge(m)
  local directory, ok, attempt, generation = m[1][1], m[2], m[3], m[4]
  local entry = unpacked(directory, ok)
  if not entry or entry[1] ~= 1 or entry[2] ~= attempt then return { 'replay' } end
  if generation >= 0 and (entry[6] or 0) ~= generation then return { 'replay' } end
  if is_alone(entry) then entry[5] = {} end
  if entry[5] == 0 then return { 'replay', entry[7] or {} } end
  local stays, left, given = {}, {}, false
  for _, cap in ipairs(m[5]) do stays[cap[1]] = cap[2] end
  for _, cap in ipairs(entry[5]) do
    local stay = math.min(stays[cap[1]] or 0, cap[2])
    if stay > 0 then left[#left + 1] = { cap[1], stay } end
    if stay < cap[2] then
      give_cap(cap[1], cap[2] - stay)
      given = true
    end
  end
  if given or #left == 0 then
    entry[5], entry[6] = #left > 0 and left or 0, entry[6] or 0
    put(directory, ok, cmsgpack.pack(entry))
  end
  return { 'ok', entry[7] or {} }
end

return answer(judge)
