-- Brings a campaign's view (its revision) to a shard; a pause is exact because this has run on every shard before it is answered.
-- KEYS 1 header hash, 2 ledger stream
-- ARGV member {{}, field of the view, revision}
-- Replies: ok {revision that holds now}
-- Keeps: the revision of a campaign never goes back.
local function judge(m)
  local field, revision = m[2], m[3]
  if tonumber(get(1, field) or 0) < revision then
    put(1, field, string.format('%.0f', revision))
  end
  return { 'ok', tonumber(get(1, field)) }
end

return answer(judge)
