-- A request is about to act on an attempt that it has found and not made: from here on its entry is not taken back.
-- KEYS 1 header hash of the merchant slot, 2 ledger stream (unused), 3.. directory buckets (hash)
-- ARGV member {{directory bucket}, order key, attempt, its shard, its fingerprint}
-- Replies: changed (another attempt or none, or reversed); ok
-- Keeps: but for its maker, nobody acts on an attempt whose entry may go, so an attempt's number and shard mean one attempt.
local function judge(m)
  local directory, ok, attempt, shard, fingerprint = m[1][1], m[2], m[3], m[4], m[5]
  local entry = unpacked(directory, ok)
  if not entry or entry[1] ~= 1 or entry[2] ~= attempt or entry[3] ~= shard or entry[4] ~= fingerprint then
    return { 'changed' }
  end
  if is_alone(entry) then put(directory, ok, cmsgpack.pack({ 1, attempt, shard, fingerprint, {} })) end
  return { 'ok' }
end

return answer(judge)
