-- Puts a person on a round's list, or answers what is there already. What a channel has taken down and brings later has its own time:
-- where the earliest counts, it replaces a later entry.
-- KEYS 1 header hash, 2 ledger stream, 3.. person buckets (hash)
-- ARGV member {{person bucket}, field, tail, channel, choice, change 0|1, digests of identity keys, seconds at which it was taken down or
--   0 = now, terms}; terms are shared: {campaign, round, counter prefix, maximum or 0, an entry per channel 0|1, earliest counts 0|1,
--   uses of limits}
-- Replies: refused already_reserved {channel, choice, at}; refused reservation_full; refused limit_reached {limit}; replay {at};
--   ok {at, replaced 0|1}
-- Keeps: one entry per person and round (and channel); a round's counters (by channel and choice) are the numbers of its entries.
local function enter(m, terms, record, at)
  local field, channel, choice, digests = m[2], m[4], m[5], m[7]
  local campaign, round, prefix, maximum, uses = terms[1], terms[2], terms[3], terms[4], terms[7]
  if maximum > 0 and counter(prefix .. ':total') >= maximum then return { 'refused', 'reservation_full' } end
  local limit = exceeded(record, uses, channel, choice)
  if limit then return { 'refused', 'limit_reached', limit } end
  record[2][#record[2] + 1] = { round, channel, choice, at, digests ~= '' and digests or nil }
  count_uses(record, uses, channel, choice, 1)
  add(count_of(prefix, channel, choice), 1)
  add(prefix .. ':total', 1)
  line({ 'R', campaign, field, round, channel, choice })
  put(m[1][1], field, cmsgpack.pack(record))
  return { 'ok', at, 0 }
end

local function replace(m, terms, record, entry, at)
  local field, channel, choice, digests = m[2], m[4], m[5], m[7]
  local campaign, round, prefix, uses = terms[1], terms[2], terms[3], terms[7]
  local limit = exceeded(record, uses, channel, choice, entry)
  if limit then return { 'refused', 'limit_reached', limit } end
  if entry[2] ~= channel or entry[3] ~= choice then
    count_uses(record, uses, entry[2], entry[3], -1)
    count_uses(record, uses, channel, choice, 1)
  end
  add(count_of(prefix, entry[2], entry[3]), -1)
  add(count_of(prefix, channel, choice), 1)
  entry[2], entry[3], entry[4] = channel, choice, at
  if digests ~= '' then entry[5] = digests end
  line({ 'C', campaign, field, round, channel, choice })
  put(m[1][1], field, cmsgpack.pack(record))
  return { 'ok', at, 1 }
end

local function judge(m)
  local channel, choice, change, digests, taken_down, terms = m[4], m[5], m[6], m[7], m[8], shared[m[9]]
  local per_channel, earliest = terms[5] == 1, terms[6] == 1
  local record = unpacked(m[1][1], m[2]) or { m[3], {}, {} }
  local at = taken_down > 0 and taken_down or math.floor(now / 1000)
  local _, entry = find(record[2], terms[2], per_channel and channel or ANY)
  if not entry then return enter(m, terms, record, at) end
  local same = entry[2] == channel and entry[3] == choice
  if taken_down > 0 and earliest and at < entry[4] then return replace(m, terms, record, entry, at) end
  if change == 1 and not (same and (entry[5] or '') == digests) then
    -- A change of mind does not cost the place in time, where time decides.
    return replace(m, terms, record, entry, earliest and entry[4] or at)
  end
  if same then return { 'replay', entry[4] } end
  return { 'refused', 'already_reserved', entry[2], entry[3], entry[4] }
end

local replies = {}
for i, m in ipairs(members) do
  replies[i] = judge(m)
end
return finish(replies)
