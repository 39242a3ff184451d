-- Writes into the index which attempt of which order means to use a serial number, or tells who has written before. The node asks that order's
-- shard, ends what was meant there, and comes again with what it has seen, which is then replaced.
-- KEYS 1 header hash of the index slot, 2 ledger stream (unused), 3.. buckets of the index (hash)
-- ARGV member {{bucket}, digest, shard and order key and u32 attempt 17 bytes, what may be replaced or ''}
-- Replies: taken {shard, order key, attempt}; refused attempt_void; ok
-- Keeps: a serial number names one order, and of its attempts the latest.
local function judge(m)
  local bucket, digest, holder = m[1][1], m[2], m[3]
  local held = get(bucket, digest)
  if held == holder then return { 'ok' } end
  if held and held ~= m[4] then
    if sub(held, 2, 13) ~= sub(holder, 2, 13) then return { 'taken', held } end
    if struct.unpack('>I4', held, 14) > struct.unpack('>I4', holder, 14) then return { 'refused', 'attempt_void' } end
  end
  put(bucket, digest, holder)
  return { 'ok' }
end

return answer(judge)
