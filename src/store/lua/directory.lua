-- Shared by the scripts of a merchant's directory, after lib.lua.

-- Whether an entry is as the request has written it that made it, and may be taken back by it. It reads as one whose attempt was given up,
-- so that a node that does not know of this ends the attempt instead of joining it.
local function is_alone(entry)
  return entry[1] == 1 and entry[2] == 1 and entry[5] == 0 and entry[6] == nil
end
