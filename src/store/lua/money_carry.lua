-- Moves what a cell's vouchers left behind to the pool, from one account; a repeat finds nothing left.
-- KEYS 1 header hash, 2 ledger stream
-- ARGV member {{}, campaign, round, channel, pack, cell, account: expired, recovered or late, ms in which a late confirm is taken}
-- Replies: ok {fen moved}
-- Keeps: what a late confirm may still take stays expired; account + pool of a cell is unchanged; what came after an earlier move, either way, is moved by the next.
local ACCOUNTS = { expired = ':exp', recovered = ':rec', late = ':late' }

-- What ran out in this stretch or the one before (order_change).
local function lapsed(cell, grace)
  local sum, stretch = 0, math.floor(now / grace)
  for place = 0, 1 do
    local of, fen = string.match(get(1, 'lap:' .. cell .. ':' .. place) or '', '^(%d+):(%d+)$')
    if of and tonumber(of) >= stretch - 1 then sum = sum + tonumber(fen) end
  end
  return sum
end

local function judge(m)
  local campaign, round, channel, pack, cell, from = m[2], m[3], m[4], m[5], m[6], m[7]
  local left = counter(cell .. ACCOUNTS[from])
  if from == 'expired' and left > 0 then left = math.max(left - lapsed(cell, m[8]), 0) end
  if left ~= 0 then
    add(cell .. ACCOUNTS[from], -left)
    add(cell .. ':pool', left)
    line({ 'M', campaign, round, channel, pack, from, left })
  end
  return { 'ok', left }
end

return answer(judge)
