-- Puts a shard's return into the pool, once, and notes that the shard has nothing left when it said so.
-- KEYS 1 pool hash, 2 unused stream
-- ARGV member {{}, cell prefix, shard, k = leases the shard has applied, j = number of the return, packs, packs the shard may still issue}
-- Replies: ok {returns that have arrived}
-- Keeps: returns arrive once, in order; a shard counts as drained only at the lease and return at which it had nothing.
local function judge(m)
  local prefix, shard, k, j, n, left = m[2], m[3], m[4], m[5], m[6], m[7]
  local returned = prefix .. ':j:' .. shard
  if counter(returned) == j - 1 then
    add(prefix .. ':out', -n)
    add(returned, 1)
  end
  if left == 0 and counter(returned) == j and counter(prefix .. ':k:' .. shard) == k then
    get(1, prefix .. ':d:' .. shard)
    put(1, prefix .. ':d:' .. shard, k .. ':' .. j)
  end
  return { 'ok', counter(returned) }
end

return answer(judge)
