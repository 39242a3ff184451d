-- Turns a program's draft into the campaign of its name, if both are still what the publisher has read.
-- KEYS 1 header hash of the configuration, 2 stream of changes, 3 hash of drafts, 4 of their versions, 5 hash of campaigns, 6 of their versions, 7 ids of the program's drafts
-- ARGV member {{drafts, their versions, campaigns, their versions, ids}, draft, its version, campaign, expected version (0 = absent), record, note for the nodes}
-- Replies: refused precondition_failed {version of the campaign}; ok {version}
-- Keeps: a name is one campaign's; what is published is no draft any more; a version never comes again under a name.
local function judge(m)
  local drafts, draft_versions, campaigns, versions, ids = m[1][1], m[1][2], m[1][3], m[1][4], m[1][5]
  local draft, expected_draft, campaign, expected, record, note = m[2], m[3], m[4], m[5], m[6], m[7]
  local draft_version = tonumber(get(draft_versions, draft) or 0)
  local version = tonumber(get(versions, campaign) or 0)
  if draft_version ~= expected_draft or version ~= expected then
    return { 'refused', 'precondition_failed', version }
  end
  get(drafts, draft)
  get(ids, draft)
  get(campaigns, campaign)
  local next_version = math.max(draft_version, version) + 1
  put(campaigns, campaign, record)
  put(versions, campaign, string.format('%.0f', next_version))
  del(drafts, draft)
  del(draft_versions, draft)
  del(ids, draft)
  tell(note)
  return { 'ok', next_version }
end

return answer_and_tell(judge)
