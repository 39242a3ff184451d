-- Ends a hold that has run out: the sweeper's step, and that of any node that meets one.
-- KEYS 1 header hash, 2 ledger stream, 3.. order bucket, lapsing holds, person buckets (hashes)
-- ARGV member {{order bucket, lapsing holds, person bucket, ...}, order key, order as the node has read it, units, uses,
--   ms after the hold in which a late confirm is taken}
-- Replies: changed {order}; refused internal (a held order without its vouchers); refused hold_runs; ok {order}
-- Keeps: no hold ends before its time; a hold ends once; held falls by what outstanding (or expired) grows.

-- How much ran out in this stretch of the length of a late confirm, and in the one before: money_carry leaves as much where a late
-- confirm finds it.
local function note_lapsed(unit, grace)
  local stretch = math.floor(now / grace)
  local field = 'lap:' .. unit[11] .. ':' .. stretch % 2
  local of, fen = string.match(get(1, field) or '', '^(%d+):(%d+)$')
  fen = tonumber(of) == stretch and tonumber(fen) or 0
  put(1, field, format('%.0f:%.0f', stretch, fen + unit[6]))
end

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
  for _, unit in ipairs(m[4]) do note_lapsed(unit, m[6]) end
  order[2], order[9] = EXPIRED, order[10] * 1000
  unlist(m, ok)
  return { 'ok', put_order(m, ok, order) }
end

return answer(judge, put_records)
