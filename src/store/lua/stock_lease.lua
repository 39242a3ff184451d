-- Leases released stock of a round to a shard that has none, or says where stock still is, or that there is none left for good.
-- KEYS 1 pool hash, 2 unused stream
-- ARGV member {{}, cell prefix, shard, k = leases the shard has applied, j = its returns, packs released so far, packs in all,
--   most packs in a lease, shards}
-- Replies: refused plan_stale (another node knows of more packs); lease {k, packs}; sold_out; wait {shard, k, packs, j, ...} names the
--   shards that may hold stock, with their last lease and the returns that have arrived
-- Keeps: packs leased - returned <= released; a lease is granted once, and only after the one before it was applied; sold out if and only
--   if nothing is free and every shard has said so since its last lease and return.
local function is_drained(prefix, shard)
  local state = counter(prefix .. ':k:' .. shard) .. ':' .. counter(prefix .. ':j:' .. shard)
  return (get(1, prefix .. ':d:' .. shard) or '0:0') == state
end

-- Large while there is much, one when there is little, so that the last packs go to whoever comes first on any shard.
local function chunk(free, most, shards)
  if shards == 1 then return free end
  return math.max(1, math.min(most, math.floor(free / (2 * shards))))
end

local function grant(prefix, shard, k, n)
  get(1, prefix .. ':a:' .. shard)
  put(1, prefix .. ':a:' .. shard, n)
  add(prefix .. ':k:' .. shard, 1)
  add(prefix .. ':out', n)
  return { 'lease', k + 1, n }
end

local function judge(m)
  local prefix, shard, k, j, released, total, most, shards = m[2], m[3], m[4], m[5], m[6], m[7], m[8], m[9]
  local known, granted = counter(prefix .. ':total'), counter(prefix .. ':k:' .. shard)
  if known > total or granted < k then return { 'refused', 'plan_stale' } end
  if known < total then put(1, prefix .. ':total', total) end
  if granted > k then return { 'lease', granted, counter(prefix .. ':a:' .. shard) } end
  local free = released - counter(prefix .. ':out')
  if free > 0 then return grant(prefix, shard, k, chunk(free, most, shards)) end
  if counter(prefix .. ':j:' .. shard) == j and not is_drained(prefix, shard) then
    put(1, prefix .. ':d:' .. shard, k .. ':' .. j)
  end
  local waiting = { 'wait' }
  for s = 0, shards - 1 do
    if not is_drained(prefix, s) then
      local of_shard = { s, counter(prefix .. ':k:' .. s), counter(prefix .. ':a:' .. s), counter(prefix .. ':j:' .. s) }
      for _, n in ipairs(of_shard) do
        waiting[#waiting + 1] = n
      end
    end
  end
  if #waiting == 1 and released >= total then return { 'sold_out' } end
  return waiting
end

return answer(judge)
