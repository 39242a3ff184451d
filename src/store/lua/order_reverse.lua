-- Closes an order in its merchant's directory for good, after its attempt was undone on its shard.
-- KEYS 1 header hash of the merchant slot, 2 ledger stream (unused), 3.. directory buckets (hash)
-- ARGV member {{directory bucket}, order key, attempt that was undone (0 = the order was never seen), its shard, was}
-- Replies: changed {attempt, shard}; replay, ok {attempt, shard, at ms, was, {quota, ...} of which it may hold something}
-- Keeps: a reversed order stays reversed; no attempt is left open behind it; its caps are given back once.
local function judge(m)
  local directory, ok, attempt, was_on, was = m[1][1], m[2], m[3], m[4], m[5]
  local entry = unpacked(directory, ok)
  if entry and entry[1] == 2 then return { 'replay', entry[2], entry[3], entry[6], entry[7], entry[8] or {} } end
  local stands, shard = entry and entry[2] or 0, entry and entry[3] or 255
  if stands ~= attempt or shard ~= was_on then return { 'changed', stands, shard } end
  if entry and entry[5] ~= 0 then
    for _, cap in ipairs(entry[5]) do give_cap(cap[1], cap[2]) end
  end
  local quotas = entry and entry[7]
  put(directory, ok, cmsgpack.pack({ 2, attempt, shard, '', 0, now, was, quotas }))
  return { 'ok', attempt, shard, now, was, quotas or {} }
end

return answer(judge)
