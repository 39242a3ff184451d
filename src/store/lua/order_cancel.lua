-- Ends a hold at the till's wish: the vouchers go back to the person. One that has run out only loses its chance of a late confirm.
-- KEYS 1 header hash, 2 ledger stream, 3.. order bucket, lapsing holds, person buckets (hashes)
-- ARGV member {{order bucket, lapsing holds, person bucket, ...}, order key, order as the node has read it, units, uses}
-- Replies: changed {order}; refused internal (a held order without its vouchers); ok {order}
-- Keeps: a hold ends once; held falls by what outstanding (or, after the vouchers' end, expired) grows.
local function judge(m)
  local ok = m[2]
  local raw = get(m[1][1], ok)
  if raw ~= m[3] then return { 'changed', raw or '' } end
  local order = cmsgpack.unpack(raw)
  if order[2] == HELD then
    if not all_units_are(m, m[4], UNIT_HELD) then return { 'refused', 'internal' } end
    release(m, ok, m[4], m[5], 'cancel')
  end
  order[2], order[9] = CANCELLED, now - order[8]
  unlist(m, ok)
  return { 'ok', put_order(m, ok, order) }
end

return answer(judge, put_records)
