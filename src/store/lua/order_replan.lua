-- Moves an open order to its next attempt after the one before was made void on its shard.
-- KEYS 1 header hash of the merchant, 2 ledger stream (unused), 3.. directory buckets (hash)
-- ARGV member {{directory bucket}, order key, attempt that is void, fingerprint, shard, {{cap counter, n, most}, ...}}
-- Replies: refused order_reversed; changed {attempt, shard, fingerprint}; refused merchant_frozen; refused limit_reached {cap counter};
--   ok {attempt, shard}
-- Keeps: attempts only grow; the caps of an attempt that is void are given back when the next takes its own.
local function judge(m)
  local directory, ok, attempt, fingerprint, shard, caps = m[1][1], m[2], m[3], m[4], m[5], m[6]
  local entry = unpacked(directory, ok)
  if not entry then return { 'changed', 0, 0, '' } end
  if entry[1] == 2 then return { 'refused', 'order_reversed' } end
  if entry[2] ~= attempt then return { 'changed', entry[2], entry[3], entry[4] } end
  if get(1, 'state') == 'frozen' then return { 'refused', 'merchant_frozen' } end
  local before = {}
  if entry[5] ~= 0 then
    for _, cap in ipairs(entry[5]) do before[cap[1]] = (before[cap[1]] or 0) + cap[2] end
  end
  local held = {}
  for i, cap in ipairs(caps) do
    if counter(cap[1]) - (before[cap[1]] or 0) + cap[2] > cap[3] then return { 'refused', 'limit_reached', cap[1] } end
    held[i] = { cap[1], cap[2] }
  end
  for name, n in pairs(before) do add(name, -n) end
  for _, cap in ipairs(caps) do add(cap[1], cap[2]) end
  put(directory, ok, cmsgpack.pack({ 1, attempt + 1, shard, fingerprint, held }))
  return { 'ok', attempt + 1, shard }
end

local replies = {}
for i, m in ipairs(members) do
  replies[i] = judge(m)
end
return finish(replies)
