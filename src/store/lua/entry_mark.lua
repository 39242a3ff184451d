-- Marks a person's entry: struck off the list when it closes, or present when a decided winner has tapped early.
-- No money moves and no counter changes, so no ledger line is written; the root of the list proves who is on it.
-- KEYS 1 header hash, 2 ledger stream, 3.. person buckets (hash)
-- ARGV member {{person bucket}, field, round, channel, mark: 1 struck, 2 present}
-- Replies: refused not_eligible; replay; ok
-- Keeps: the first mark of an entry stays.
local function judge(m)
  local bucket, field, round, channel, mark = m[1][1], m[2], m[3], m[4], m[5]
  local person = person_of(bucket, field)
  for _, entry in ipairs(person and person[2] or {}) do
    if entry[1] == round and entry[2] == channel then
      if entry[6] == 1 and mark == 2 then return { 'refused', 'not_eligible' } end
      if entry[6] then return { 'replay' } end
      entry[6] = mark
      put_person(bucket, field, person)
      return { 'ok' }
    end
  end
  return { 'refused', 'not_eligible' }
end

return answer(judge)
