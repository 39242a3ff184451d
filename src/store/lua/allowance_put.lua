-- Tells a shard how many packs of a cell it may have issued by the end of a wave; a step that is run again changes nothing.
-- KEYS 1 header hash, 2 ledger stream
-- ARGV member {{}, allowance field, wave (from 1), packs}
-- Replies: ok
-- Keeps: an allowance belongs to the latest wave that was told.
local function judge(m)
  local field, wave, packs = m[2], m[3], m[4]
  get(1, field)
  if counter(field .. ':wave') < wave then
    put(1, field, string.format('%.0f', packs))
    put(1, field .. ':wave', string.format('%.0f', wave))
  end
  return { 'ok' }
end

return answer(judge)
