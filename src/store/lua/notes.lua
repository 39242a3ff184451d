-- Shared by the scripts of configuration records, after lib.lua: what nodes follow is told to them behind the records.

local notes = {}

-- Empty for what they do not follow.
local function tell(note)
  if note == '' then return end
  add('rev', 1)
  notes[#notes + 1] = note
end

local function answer_and_tell(judge)
  local out = answer(judge)
  for _, note in ipairs(notes) do
    call('XADD', KEYS[2], 'MAXLEN', '~', '10000', '*', 'n', note)
  end
  return out
end
