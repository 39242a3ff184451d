-- Finds or opens an order in its merchant's directory.
-- KEYS 1 header hash of the merchant slot, 2 ledger stream (unused), 3.. directory buckets (hash)
-- ARGV member flat: order key 12, the entry of the order if it is new. Shared: {field of the merchant, {campaign, ...}, {campaign in
--   which the node knows it to be approved, ...}}
-- Replies: refused order_reversed; replay {attempt, shard, fingerprint, released 0|1, merchant's state, {approved campaign, ...},
--   {{cap counter, n}, ...} held, whether quotas may be held too 0|1, whether it may be taken back 0|1}; refused merchant_frozen; refused merchant_not_enrolled; ok {state, {approved campaign, ...}};
--   1 = ok, and the merchant stands as the node knows
-- Keeps: an order is open at one attempt on one shard, or reversed for good.

-- State and approved campaigns of a merchant, looked up once for the batch.
local views = {}
local function view_of(place)
  local view = views[place]
  if view then return view end
  local asked = shared[place]
  local stored = unpacked(1, asked[1])
  local approved, list = {}, {}
  for _, c in ipairs(stored and stored[3] or {}) do approved[c] = true end
  for _, c in ipairs(asked[2]) do
    if approved[c] then list[#list + 1] = c end
  end
  view = { state = stored and stored[2] or '', enrolled = list, known = #list == #asked[3] }
  for i, c in ipairs(asked[3]) do view.known = view.known and list[i] == c end
  views[place] = view
  return view
end

local function standing(raw, view)
  local entry = cmsgpack.unpack(raw)
  if entry[1] == 2 then return { 'refused', 'order_reversed' } end
  local alone = is_alone(entry)
  local released = entry[5] == 0 and not alone
  return { 'replay', entry[2], entry[3], entry[4], released and 1 or 0, view.state, view.enrolled, entry[5] == 0 and {} or entry[5],
    entry[7] and 1 or 0, alone and 1 or 0 }
end

local function judge(member)
  local _, _, directory, place = byte(member, 1, 4)
  local ok, view = sub(member, 5, 16), view_of(place)
  local raw = get(directory, ok)
  if raw then return standing(raw, view) end
  if view.state == 'frozen' then return { 'refused', 'merchant_frozen' } end
  if #view.enrolled == 0 then return { 'refused', 'merchant_not_enrolled' } end
  put(directory, ok, sub(member, 17))
  return view.known and 1 or { 'ok', view.state, view.enrolled }
end

return answer_flat(judge)
