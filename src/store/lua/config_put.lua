-- Replaces one configuration record if it is still the version the writer has read.
-- KEYS 1 header hash of the configuration, 2 stream of changes, 3 hash of records, 4 hash of their versions
-- ARGV member {{records, versions}, field, expected version (0 = absent), new value, note for the nodes, empty for what they do not follow}
-- Replies: refused precondition_failed {version}; ok {version}
-- Keeps: a record's version grows by one with each change; every change that nodes follow is told to them.
local function judge(m)
  local records, versions, field, expected, value, note = m[1][1], m[1][2], m[2], m[3], m[4], m[5]
  local version = tonumber(get(versions, field) or 0)
  if version ~= expected then
    return { 'refused', 'precondition_failed', version }
  end
  get(records, field)
  put(records, field, value)
  put(versions, field, string.format('%.0f', version + 1))
  tell(note)
  return { 'ok', version + 1 }
end

return answer_and_tell(judge)
