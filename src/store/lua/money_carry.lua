-- Moves what a cell's vouchers left behind to the pool, from one account; a repeat finds nothing left.
-- KEYS 1 header hash, 2 ledger stream
-- ARGV member {{}, campaign, round, channel, pack, cell, account: expired, recovered or late}
-- Replies: ok {fen moved}
-- Keeps: account + pool of a cell is unchanged; what came after an earlier move, either way, is moved by the next.
local ACCOUNTS = { expired = ':exp', recovered = ':rec', late = ':late' }

local function judge(m)
  local campaign, round, channel, pack, cell, from = m[2], m[3], m[4], m[5], m[6], m[7]
  local left = counter(cell .. ACCOUNTS[from])
  if left ~= 0 then
    add(cell .. ACCOUNTS[from], -left)
    add(cell .. ':pool', left)
    line({ 'M', campaign, round, channel, pack, from, left })
  end
  return { 'ok', left }
end

return answer(judge)
