-- Shared by the scripts that give a merchant's caps back, after lib.lua.

-- A counter that nobody uses any more goes, and one that was forgotten with its campaign stays away.
local function give_cap(name, n)
  if counter(name) > n then add(name, -n) else del(1, name) end
end
