-- Brings a merchant's state and enrolments to its slot; a freeze is exact because this has run before it is answered.
-- KEYS 1 header hash of the merchant, 2 ledger stream (unused)
-- ARGV member {{}, revision, active | frozen, {campaign, state of its enrolment, ...}}
-- Replies: ok {revision that holds now}
-- Keeps: the header is the newest revision of the merchant that was brought here, as a whole.
local function judge(m)
  local revision, state, enrolments = m[2], m[3], m[4]
  if counter('rev') < revision then
    put(1, 'rev', string.format('%.0f', revision))
    put(1, 'state', state)
    for j = 1, #enrolments, 2 do
      put(1, 'e:' .. enrolments[j], enrolments[j + 1])
    end
  end
  return { 'ok', counter('rev') }
end

return answer(judge)
