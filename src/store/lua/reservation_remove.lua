-- Takes a person off a round's list. Where identity keys are indexed, what the person has meant so far is void with it: a copy of it that
-- comes late does not bring the entry back.
-- KEYS 1 header hash, 2 ledger stream, 3.. person buckets, buckets of void intents (hashes)
-- ARGV member {{person bucket, bucket of void intents if keys are indexed}, field, campaign, round, channel or 255 = any, counter prefix, uses of limits}
-- Replies: refused reservation_not_found; ok {channel, choice, at, digests of what was there}
-- Keeps: a round's counters are the numbers of its entries; a person without entries and packs has no record.
local function judge(m)
  local bucket, field, campaign, round, prefix = m[1][1], m[2], m[3], m[4], m[6]
  local record = person_of(bucket, field)
  local i, entry = find(record and record[2] or {}, round, m[5])
  if not entry then return { 'refused', 'reservation_not_found' } end
  local voids = m[1][2]
  if voids then put(voids, field, format('%.0f', tonumber(get(voids, field) or 0) + 1)) end
  table.remove(record[2], i)
  count_uses(record, m[7], entry[2], entry[3], -1)
  add(count_of(prefix, entry[2], entry[3]), -1)
  add(prefix .. ':total', -1)
  line({ 'W', campaign, field, round, entry[2] })
  if #record[2] == 0 and #record[3] == 0 then
    del(bucket, field)
  else
    put_person(bucket, field, record)
  end
  return { 'ok', entry[2], entry[3], entry[4], entry[5] or '' }
end

return answer(judge)
