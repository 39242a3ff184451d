-- Credits a decided winner's pack, whole or not at all; a repeat answers the pack that is there.
-- KEYS 1 header hash, 2 ledger stream, 3.. person buckets (hash)
-- ARGV member {{person bucket}, field, campaign, round, channel, pack, cell, winners counter, {expiry hour, fen, expiry hour, fen, ...}, shard, shards}
-- Replies: refused not_eligible; refused sold_out; replay {pack number, at, index}; ok {pack number, at, index}
-- Keeps: packs issued of a supply, over all its channels <= decided winners of this shard; one pack per person, round and channel.
local function issue(m, record, entry)
  local bucket, field, campaign, round, channel, pack, cell = m[1][1], m[2], m[3], m[4], m[5], m[6], m[7]
  local at = math.floor(now / 1000)
  local number = counter('no:' .. campaign) * m[11] + m[10] + 1
  local packs = record[3]
  packs[#packs + 1] = { round, channel, pack, number, at, '' }
  add('no:' .. campaign, 1)
  add(cell .. ':pk', 1)
  add(m[8] .. ':issued', 1)
  for i = 1, #m[9], 2 do
    add(cell .. ':out:' .. m[9][i], m[9][i + 1])
  end
  line({ 'P', campaign, field, round, channel, pack, number })
  put(bucket, field, cmsgpack.pack(record))
  return { 'ok', number, at, #packs - 1 }
end

local function judge(m)
  local bucket, field, round, channel, cell, winners = m[1][1], m[2], m[4], m[5], m[7], m[8]
  local record = unpacked(bucket, field)
  if not record then return { 'refused', 'not_eligible' } end
  for i, pack in ipairs(record[3]) do
    if pack[1] == round and pack[2] == channel then
      return { 'replay', pack[4], pack[5], i - 1 }
    end
  end
  for _, entry in ipairs(record[2]) do
    if entry[1] == round and entry[2] == channel and entry[6] ~= 1 then
      if counter(winners .. ':issued') >= tonumber(get(1, winners) or 0) then
        return { 'refused', 'sold_out' }
      end
      return issue(m, record, entry)
    end
  end
  return { 'refused', 'not_eligible' }
end

local replies = {}
for i, m in ipairs(members) do
  replies[i] = judge(m)
end
return finish(replies)
