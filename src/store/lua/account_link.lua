-- Notes or forgets whose an account of a channel is: a platform names the payer by it.
-- KEYS 1 header hash, 2 ledger stream, 3.. account buckets (hashes)
-- ARGV member {{account bucket}, digest of channel and account, root pseudonym, 1 link | 0 unlink}
-- Replies: ok {1 changed | 0 as it was}
-- Keeps: an account is one person's, the last whom the channel vouched for; nobody unlinks another's.
local replies = {}
for i, m in ipairs(members) do
  local key, digest, root = m[1][1], m[2], m[3]
  local held = get(key, digest)
  local changed = 0
  if m[4] == 1 and held ~= root then
    put(key, digest, root)
    changed = 1
  elseif m[4] == 0 and held == root then
    del(key, digest)
    changed = 1
  end
  replies[i] = { 'ok', changed }
end
return finish(replies)
