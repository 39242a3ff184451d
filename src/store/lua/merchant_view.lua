-- Brings a merchant's state and enrolments to its slot; a freeze is exact because this has run before it is answered.
-- KEYS 1 header hash of the merchant slot, 2 ledger stream (unused)
-- ARGV member {{}, field of the merchant, revision, active | frozen, {campaign in which it is approved, ...}}
-- Replies: ok {revision that holds now}
-- Keeps: what the slot holds of a merchant is the newest revision that was brought here, as a whole.
local function judge(m)
  local field, revision, state, approved = m[2], m[3], m[4], m[5]
  local view = unpacked(1, field)
  local newest = view and view[1] or 0
  if newest >= revision then return { 'ok', newest } end
  put(1, field, cmsgpack.pack({ revision, state, approved }))
  return { 'ok', revision }
end

return answer(judge)
