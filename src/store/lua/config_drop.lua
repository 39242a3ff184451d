-- Removes a record of a program, if it is still the version that the writer has read.
-- KEYS 1 header hash of the configuration, 2 stream of changes (unused), 3 hash of records, 4 hash of their versions, 5 hash of the program's ids
-- ARGV member {{records, versions, ids}, id, version, field of the highest version that was ever dropped}
-- Replies: refused precondition_failed {version}; ok
-- Keeps: a version never comes again under an id.
local function judge(m)
  local records, versions, ids, id, expected, dropped = m[1][1], m[1][2], m[1][3], m[2], m[3], m[4]
  local version = tonumber(get(versions, id) or 0)
  if version == 0 or version ~= expected then return { 'refused', 'precondition_failed', version } end
  get(records, id)
  get(ids, id)
  del(records, id)
  del(versions, id)
  del(ids, id)
  add(dropped, math.max(version - counter(dropped), 0))
  return { 'ok' }
end

return answer(judge)
