-- Moves an open order to its next attempt after the one before was made void on its shard.
-- KEYS 1 header hash of the merchant slot, 2 ledger stream (unused), 3.. directory buckets (hash)
-- ARGV member {{directory bucket}, order key, field of the merchant, attempt that is void, shard on which it is, fingerprint, shard of
--   the next attempt, given 0|1: the void attempt was released and its quotas were given back}
-- Replies: refused order_reversed; changed {attempt, shard, fingerprint, whether it may be taken back 0|1}; refused merchant_frozen; holding (quotas are to be given back
--   first); ok {attempt, shard}
-- Keeps: attempts only grow, and one follows only the one that was made void, by its number and shard; the caps and quotas of an attempt that is void are given back.
local function judge(m)
  local directory, ok, attempt, was_on, fingerprint, shard = m[1][1], m[2], m[4], m[5], m[6], m[7]
  local entry = unpacked(directory, ok)
  if not entry then return { 'changed', 0, 0, '', 0 } end
  if entry[1] == 2 then return { 'refused', 'order_reversed' } end
  if entry[2] ~= attempt or entry[3] ~= was_on then
    return { 'changed', entry[2], entry[3], entry[4], is_alone(entry) and 1 or 0 }
  end
  local view = unpacked(1, m[3])
  if view and view[2] == 'frozen' then return { 'refused', 'merchant_frozen' } end
  if entry[7] and m[8] == 0 then return { 'holding' } end
  if entry[5] ~= 0 then
    for _, cap in ipairs(entry[5]) do give_cap(cap[1], cap[2]) end
  end
  put(directory, ok, cmsgpack.pack({ 1, attempt + 1, shard, fingerprint, {} }))
  return { 'ok', attempt + 1, shard }
end

return answer(judge)
