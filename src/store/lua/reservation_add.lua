-- Puts a person on a round's list, or answers what is there already.
-- KEYS 1 header hash, 2 ledger stream, 3.. person buckets (hash)
-- ARGV member {{person bucket}, field, tail, campaign, round, channel, choice, counter prefix, maximum or 0, change 0|1}
-- Replies: refused already_reserved {channel, choice, at}; refused reservation_full; replay {at}; ok {at}
-- Keeps: one entry per person and round; a round's counters (by channel and choice) are the numbers of its entries.
local function find(entries, round)
  for i, entry in ipairs(entries) do
    if entry[1] == round then return i, entry end
  end
end

local function count_of(prefix, channel, choice)
  return prefix .. ':' .. channel .. ':' .. choice .. ':rsv'
end

local function judge(m)
  local bucket, field, tail, campaign, round, channel, choice = m[1][1], m[2], m[3], m[4], m[5], m[6], m[7]
  local prefix, maximum, change = m[8], m[9], m[10]
  local counter_name = count_of(prefix, channel, choice)
  local record = unpacked(bucket, field) or { tail, {}, {} }
  local at = math.floor(now / 1000)
  local i, entry = find(record[2], round)
  if entry and entry[2] == channel and entry[3] == choice then
    return { 'replay', entry[4] }
  end
  if entry and change == 0 then
    return { 'refused', 'already_reserved', entry[2], entry[3], entry[4] }
  end
  if entry then
    add(count_of(prefix, entry[2], entry[3]), -1)
    add(counter_name, 1)
    entry[2], entry[3], entry[4] = channel, choice, at
    line({ 'C', campaign, field, round, channel, choice })
  else
    if maximum > 0 and counter(prefix .. ':total') >= maximum then
      return { 'refused', 'reservation_full' }
    end
    record[2][#record[2] + 1] = { round, channel, choice, at }
    add(counter_name, 1)
    add(prefix .. ':total', 1)
    line({ 'R', campaign, field, round, channel, choice })
  end
  put(bucket, field, cmsgpack.pack(record))
  return { 'ok', at }
end

local replies = {}
for i, m in ipairs(members) do
  replies[i] = judge(m)
end
return finish(replies)
