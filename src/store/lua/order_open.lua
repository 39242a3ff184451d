-- Finds or opens an order in its merchant's directory, and takes the merchant's caps.
-- KEYS 1 header hash of the merchant, 2 ledger stream (unused), 3.. directory buckets (hash)
-- ARGV member {{directory bucket}, order key, fingerprint, shard, {campaign, ...}, {{cap counter, n, most}, ...}}
-- Replies: refused order_reversed; replay {attempt, shard, fingerprint, released 0|1, merchant's state, {approved campaign, ...}};
--   refused merchant_frozen; refused merchant_not_enrolled; refused limit_reached {cap counter}; ok {like replay}
-- Keeps: an order is open at one attempt on one shard, or reversed for good; caps used <= most.
local function approved(campaigns)
  local list = {}
  for _, c in ipairs(campaigns) do
    if get(1, 'e:' .. c) == 'approved' then list[#list + 1] = c end
  end
  return list
end

local function judge(m)
  local directory, ok, fingerprint, shard, campaigns, caps = m[1][1], m[2], m[3], m[4], m[5], m[6]
  local entry = unpacked(directory, ok)
  local state, enrolled = get(1, 'state') or '', approved(campaigns)
  if entry and entry[1] == 2 then return { 'refused', 'order_reversed' } end
  if entry then
    return { 'replay', entry[2], entry[3], entry[4], entry[5] == 0 and 1 or 0, state, enrolled }
  end
  if state == 'frozen' then return { 'refused', 'merchant_frozen' } end
  if #enrolled == 0 then return { 'refused', 'merchant_not_enrolled' } end
  local held = {}
  for i, cap in ipairs(caps) do
    if counter(cap[1]) + cap[2] > cap[3] then return { 'refused', 'limit_reached', cap[1] } end
    held[i] = { cap[1], cap[2] }
  end
  for _, cap in ipairs(caps) do add(cap[1], cap[2]) end
  put(directory, ok, cmsgpack.pack({ 1, 1, shard, fingerprint, held }))
  return { 'ok', 1, shard, fingerprint, 0, state, enrolled }
end

local replies = {}
for i, m in ipairs(members) do
  replies[i] = judge(m)
end
return finish(replies)
