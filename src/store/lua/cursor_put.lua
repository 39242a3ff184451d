-- Moves the cursor of a walk forward; of two runners the one who is behind moves nothing.
-- KEYS 1 header hash, 2 ledger stream
-- ARGV member {{}, cursor field, position}
-- Replies: ok
-- Keeps: a cursor never goes back.
local function judge(m)
  if counter(m[2]) < m[3] then put(1, m[2], string.format('%.0f', m[3])) end
  return { 'ok' }
end

return answer(judge)
