-- Puts a person on a round's list, or answers what is there already. What a channel has taken down and brings later has its own time:
-- where the earliest counts, it replaces a later entry.
-- KEYS 1 header hash, 2 ledger stream, 3.. person buckets (hash)
-- ARGV member {{person bucket}, field, tail, campaign, round, channel, choice, counter prefix, maximum or 0, change 0|1,
--   an entry per channel 0|1, digests of identity keys, seconds at which it was taken down or 0 = now, earliest counts 0|1, uses of limits}
-- Replies: refused already_reserved {channel, choice, at}; refused reservation_full; refused limit_reached {limit}; replay {at};
--   ok {at, replaced 0|1}
-- Keeps: one entry per person and round (and channel); a round's counters (by channel and choice) are the numbers of its entries.
local function enter(m, record, at)
  local field, campaign, round, channel, choice, prefix = m[2], m[4], m[5], m[6], m[7], m[8]
  if m[9] > 0 and counter(prefix .. ':total') >= m[9] then return { 'refused', 'reservation_full' } end
  local limit = exceeded(record, m[15], channel, choice)
  if limit then return { 'refused', 'limit_reached', limit } end
  record[2][#record[2] + 1] = { round, channel, choice, at, m[12] ~= '' and m[12] or nil }
  count_uses(record, m[15], channel, choice, 1)
  add(count_of(prefix, channel, choice), 1)
  add(prefix .. ':total', 1)
  line({ 'R', campaign, field, round, channel, choice })
  put(m[1][1], field, cmsgpack.pack(record))
  return { 'ok', at, 0 }
end

local function replace(m, record, entry, at)
  local field, campaign, round, channel, choice, prefix = m[2], m[4], m[5], m[6], m[7], m[8]
  local limit = exceeded(record, m[15], channel, choice, entry)
  if limit then return { 'refused', 'limit_reached', limit } end
  if entry[2] ~= channel or entry[3] ~= choice then
    count_uses(record, m[15], entry[2], entry[3], -1)
    count_uses(record, m[15], channel, choice, 1)
  end
  add(count_of(prefix, entry[2], entry[3]), -1)
  add(count_of(prefix, channel, choice), 1)
  entry[2], entry[3], entry[4] = channel, choice, at
  if m[12] ~= '' then entry[5] = m[12] end
  line({ 'C', campaign, field, round, channel, choice })
  put(m[1][1], field, cmsgpack.pack(record))
  return { 'ok', at, 1 }
end

local function judge(m)
  local channel, choice, change, per_channel, taken_down, earliest = m[6], m[7], m[10], m[11], m[13], m[14]
  local record = unpacked(m[1][1], m[2]) or { m[3], {}, {} }
  local at = taken_down > 0 and taken_down or math.floor(now / 1000)
  local _, entry = find(record[2], m[5], per_channel == 1 and channel or ANY)
  if not entry then return enter(m, record, at) end
  local same = entry[2] == channel and entry[3] == choice
  if taken_down > 0 and earliest == 1 and at < entry[4] then return replace(m, record, entry, at) end
  if change == 1 and not (same and (entry[5] or '') == m[12]) then
    -- A change of mind does not cost the place in time, where time decides.
    return replace(m, record, entry, earliest == 1 and entry[4] or at)
  end
  if same then return { 'replay', entry[4] } end
  return { 'refused', 'already_reserved', entry[2], entry[3], entry[4] }
end

local replies = {}
for i, m in ipairs(members) do
  replies[i] = judge(m)
end
return finish(replies)
