-- Ends a hold at the till's wish: the vouchers go back to the person.
-- KEYS 1 header hash, 2 ledger stream, 3.. order bucket, lapsing holds, person buckets (hashes)
-- ARGV member {{order bucket, lapsing holds, person bucket, ...}, order key, order as the node has read it, units, uses}
-- Replies: changed {order}; ok {order}
-- Keeps: a hold ends once; held falls by what outstanding (or, after the vouchers' end, expired) grows.
local function judge(m)
  local ok = m[2]
  local raw = get(m[1][1], ok)
  if raw ~= m[3] then return { 'changed', raw or '' } end
  local order = cmsgpack.unpack(raw)
  if order[2] ~= HELD or not all_units_are(m, m[4], UNIT_HELD) then return { 'changed', raw } end
  release(m, ok, m[4], m[5], 'cancel')
  order[2], order[9] = CANCELLED, now - order[8]
  unlist(m, ok)
  return { 'ok', put_order(m, ok, order) }
end

return answer(judge)
