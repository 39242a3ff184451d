-- Moves what is left outstanding of one cell and expiry hour to expired; a repeat finds nothing left.
-- KEYS 1 header hash, 2 ledger stream
-- ARGV member {{}, campaign, round, channel, pack, cell, expiry hour}
-- Replies: ok {fen moved}
-- Keeps: outstanding + expired of a cell is unchanged; what came after an earlier move, either way, is moved by the next.
local function judge(m)
  local campaign, round, channel, pack, cell, hour = m[2], m[3], m[4], m[5], m[6], m[7]
  local left = counter(cell .. ':out:' .. hour)
  if left ~= 0 then
    add(cell .. ':out:' .. hour, -left)
    add(cell .. ':exp', left)
    line({ 'E', campaign, round, channel, pack, hour, left })
  end
  return { 'ok', left }
end

return answer(judge)
