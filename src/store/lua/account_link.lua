-- Notes or forgets whose an account of a channel is: a platform names the payer by it.
-- KEYS 1 header hash, 2 ledger stream, 3.. account buckets and buckets of their marks (hashes)
-- ARGV member {{account bucket, bucket of its mark}, digest of channel and account, root pseudonym, 1 link | 0 unlink, mark as it was read,
--   how long marks last}
-- Replies: ok {1 it was not so | 0 as it was}; changed (another call came in between, and what it did is not what this one asks for)
-- Keeps: an account is one person's, the last whom the channel vouched for; nobody unlinks another's. A call that has read the mark before
--   another one was answered changes nothing after it, however late it arrives.
local function judge(m)
  local key, marks, digest, root, links = m[1][1], m[1][2], m[2], m[3], m[4] == 1
  local held, mark = get(key, digest), get(marks, digest) or ''
  local is_so = (held == root) == links
  if mark ~= m[5] then
    return is_so and { 'ok', 0 } or { 'changed' }
  end
  put(marks, digest, string.format('%.0f', (tonumber(mark) or 0) + 1))
  expire(marks, m[6])
  if is_so then return { 'ok', 0 } end
  if links then put(key, digest, root) else del(key, digest) end
  return { 'ok', 1 }
end

return answer(judge)
