-- Takes a person off a round's list.
-- KEYS 1 header hash, 2 ledger stream, 3.. person buckets (hash)
-- ARGV member {{person bucket}, field, campaign, round, counter prefix}
-- Replies: refused reservation_not_found; ok
-- Keeps: a round's counters are the numbers of its entries; a person without entries and packs has no record.
local function judge(m)
  local bucket, field, campaign, round, prefix = m[1][1], m[2], m[3], m[4], m[5]
  local record = unpacked(bucket, field)
  if not record then return { 'refused', 'reservation_not_found' } end
  for i, entry in ipairs(record[2]) do
    if entry[1] == round then
      table.remove(record[2], i)
      add(prefix .. ':' .. entry[2] .. ':' .. entry[3] .. ':rsv', -1)
      add(prefix .. ':total', -1)
      line({ 'W', campaign, field, round, entry[2] })
      if #record[2] == 0 and #(record[3] or {}) == 0 then
        del(bucket, field)
      else
        put(bucket, field, cmsgpack.pack(record))
      end
      return { 'ok' }
    end
  end
  return { 'refused', 'reservation_not_found' }
end

local replies = {}
for i, m in ipairs(members) do
  replies[i] = judge(m)
end
return finish(replies)
