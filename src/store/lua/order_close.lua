-- Makes an attempt void on its shard unless it has been applied: after this no delayed copy of it can take effect.
-- KEYS 1 header hash, 2 ledger stream, 3.. order buckets (hash)
-- ARGV member {{order bucket}, order key, attempt}
-- Replies: refused order_reversed; replay {order}; ok
-- Keeps: an attempt that is void is never applied.
local REVERSED, VOID = 5, 6

local function judge(m)
  local orders, ok, attempt = m[1][1], m[2], m[3]
  local raw = get(orders, ok)
  if raw then
    local order = cmsgpack.unpack(raw)
    if order[2] == REVERSED then return { 'refused', 'order_reversed' } end
    if order[2] ~= VOID then return { 'replay', raw } end
    if order[3] >= attempt then return { 'ok' } end
  end
  put(orders, ok, cmsgpack.pack({ 1, VOID, attempt }))
  return { 'ok' }
end

return answer(judge)
