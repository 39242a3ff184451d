-- Finds or opens an order in its merchant's directory.
-- KEYS 1 header hash of the merchant slot, 2 ledger stream (unused), 3.. directory buckets (hash)
-- ARGV member {{directory bucket}, order key, field of the merchant, fingerprint, shard, {campaign, ...}}
-- Replies: refused order_reversed; replay {attempt, shard, fingerprint, released 0|1, merchant's state, {approved campaign, ...},
--   {{cap counter, n}, ...} held}; refused merchant_frozen; refused merchant_not_enrolled; ok {like replay}
-- Keeps: an order is open at one attempt on one shard, or reversed for good.

-- State and campaigns of a merchant, decoded once for the batch.
local views = {}
local function view_of(field)
  local view = views[field]
  if view then return view end
  local stored = unpacked(1, field)
  view = { state = stored and stored[2] or '', approved = {} }
  for _, c in ipairs(stored and stored[3] or {}) do
    view.approved[c] = true
  end
  views[field] = view
  return view
end

local function enrolled_in(view, campaigns)
  local list = {}
  for _, c in ipairs(campaigns) do
    if view.approved[c] then list[#list + 1] = c end
  end
  return list
end

local function judge(m)
  local directory, ok, fingerprint, shard, campaigns = m[1][1], m[2], m[4], m[5], m[6]
  local entry, view = unpacked(directory, ok), view_of(m[3])
  local state, enrolled = view.state, enrolled_in(view, campaigns)
  if entry and entry[1] == 2 then return { 'refused', 'order_reversed' } end
  if entry then
    local released = entry[5] == 0
    return { 'replay', entry[2], entry[3], entry[4], released and 1 or 0, state, enrolled, released and {} or entry[5] }
  end
  if state == 'frozen' then return { 'refused', 'merchant_frozen' } end
  if #enrolled == 0 then return { 'refused', 'merchant_not_enrolled' } end
  put(directory, ok, cmsgpack.pack({ 1, 1, shard, fingerprint, {} }))
  return { 'ok', 1, shard, fingerprint, 0, state, enrolled, {} }
end

return answer(judge)
