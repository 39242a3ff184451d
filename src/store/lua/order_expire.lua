-- Ends a hold that has run out: the sweeper's step, and that of any node that meets one.
-- KEYS 1 header hash, 2 ledger stream, 3.. order bucket, lapsing holds, person buckets (hashes)
-- ARGV member {{order bucket, lapsing holds, person bucket, ...}, order key, order as the node has read it, units, uses}
-- Replies: changed {order}; refused internal (a held order without its vouchers); refused hold_runs; ok {order}
-- Keeps: no hold ends before its time; a hold ends once; held falls by what outstanding (or expired) grows.
local function judge(m)
  local ok = m[2]
  local raw = get(m[1][1], ok)
  if raw ~= m[3] then return { 'changed', raw or '' } end
  local order = cmsgpack.unpack(raw)
  if order[2] ~= HELD then
    unlist(m, ok)
    return { 'changed', raw }
  end
  if not all_units_are(m, m[4], UNIT_HELD) then return { 'refused', 'internal' } end
  local until_ms = order[8] + order[10] * 1000
  if now < until_ms then return { 'refused', 'hold_runs' } end
  release(m, ok, m[4], m[5], 'expire')
  order[2], order[9] = EXPIRED, order[10] * 1000
  unlist(m, ok)
  return { 'ok', put_order(m, ok, order) }
end

return answer(judge, put_records)
