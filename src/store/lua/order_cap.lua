-- Takes a merchant's caps for an open attempt before its vouchers are taken, or again for a late confirm.
-- KEYS 1 header hash of the merchant slot, 2 ledger stream (unused), 3.. directory buckets (hash)
-- ARGV member {{directory bucket}, order key, attempt, {{cap counter, n, most}, ...}, again 0|1, {quota, ...}}
-- Replies: refused order_reversed; refused attempt_void; refused limit_reached {cap counter}; ok {generation}
-- Keeps: caps used <= most; what an attempt holds is never less than what any copy of it has applied; the entry names every quota
--   of which its attempt may hold something.
local function with_quotas(named, quotas)
  local known = {}
  for _, name in ipairs(named) do known[name] = true end
  for _, name in ipairs(quotas) do
    if not known[name] then named[#named + 1] = name end
  end
  return #named > 0 and named or nil
end

local function judge(m)
  local directory, ok, attempt, caps, again = m[1][1], m[2], m[3], m[4], m[5]
  local entry = unpacked(directory, ok)
  if entry and entry[1] == 2 then return { 'refused', 'order_reversed' } end
  if not entry or entry[2] ~= attempt or (entry[5] == 0 and again == 0 and not is_alone(entry)) then return { 'refused', 'attempt_void' } end
  local names, before = {}, {}
  for i, cap in ipairs(entry[5] ~= 0 and entry[5] or {}) do
    names[i], before[cap[1]] = cap[1], cap[2]
  end
  local after = {}
  for _, cap in ipairs(caps) do
    local more = math.max(cap[2] - (before[cap[1]] or 0), 0)
    if counter(cap[1]) + more > cap[3] then return { 'refused', 'limit_reached', cap[1] } end
    if not before[cap[1]] then names[#names + 1] = cap[1] end
    after[cap[1]] = (before[cap[1]] or 0) + more
  end
  local held = {}
  for i, name in ipairs(names) do
    held[i] = { name, after[name] or before[name] }
    add(name, held[i][2] - (before[name] or 0))
  end
  local generation = (entry[6] or 0) + again
  put(directory, ok, cmsgpack.pack({ 1, attempt, entry[3], entry[4], held, generation, with_quotas(entry[7] or {}, m[6]) }))
  return { 'ok', generation }
end

return answer(judge)
