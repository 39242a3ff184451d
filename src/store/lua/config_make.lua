-- Makes a record of a program, unless the program has used the caller's name for one, or has as many as it may have.
-- KEYS 1 header hash of the configuration, 2 stream of changes, 3 hash of records, 4 hash of their versions, 5 hash of the program's ids, 6 hash of its names
-- ARGV member {{records, versions, ids, names}, id, value, note for the nodes, caller's name or empty, most, field of the highest version
--   that was ever dropped}
-- Replies: unwalked (its ids are to be gathered first); replay {id}; refused precondition_failed {version}; full; ok {version}
-- Keeps: a program has at most so many records of a kind, each of them among its ids; a name stands for one record;
--   a version never comes again under an id.
local WALKED = '*'
local more = {}
local function judge(m)
  local records, versions, ids, names = m[1][1], m[1][2], m[1][3], m[1][4]
  local id, value, note, name, most, dropped = m[2], m[3], m[4], m[5], m[6], m[7]
  if not get(ids, WALKED) then return { 'unwalked' } end
  local before = name ~= '' and get(names, name)
  if before then return { 'replay', before } end
  local version = tonumber(get(versions, id) or 0)
  if version ~= 0 then return { 'refused', 'precondition_failed', version } end
  if call('HLEN', KEYS[ids]) - 1 + (more[ids] or 0) >= most then return { 'full' } end
  more[ids] = (more[ids] or 0) + 1
  get(records, id)
  get(ids, id)
  put(records, id, value)
  put(versions, id, string.format('%.0f', counter(dropped) + 1))
  put(ids, id, '')
  if name ~= '' then put(names, name, id) end
  tell(note)
  return { 'ok', counter(dropped) + 1 }
end

return answer_and_tell(judge)
