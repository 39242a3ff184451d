-- Shared by the scripts of reservation, after record.lua: a person's entry of a round, and the limits that reservations count towards.
-- A use of a limit is {limit, round or -1, by channel 0|1, by choice 0|1, period, most}.

-- The entry of a round; where each channel has its own, that of the channel.
local function find(entries, round, channel)
  for i, entry in ipairs(entries) do
    if entry[1] == round and (channel == ANY or entry[2] == channel) then return i, entry end
  end
end

local function count_of(prefix, channel, choice)
  return prefix .. ':' .. channel .. ':' .. choice .. ':rsv'
end

-- What a limit counts apart for one person.
local function entity_of(use, channel, choice)
  return (use[3] == 1 and 'c' .. string.char(channel) or '') .. (use[4] == 1 and 'p' .. string.char(choice) or '')
    .. (use[2] >= 0 and 'r' .. string.char(use[2]) or '')
end

local function used(record, use, entity)
  for i, usage in ipairs(record[4]) do
    if usage[1] == use[1] and usage[2] == entity and usage[3] == use[5] then return usage, i end
  end
end

-- The number of the first limit that has no room for one more, if there is one; what is left by `from` makes no room elsewhere.
local function exceeded(record, uses, channel, choice, from)
  for _, use in ipairs(uses) do
    local entity = entity_of(use, channel, choice)
    local usage = used(record, use, entity)
    local moves = not from or entity_of(use, from[2], from[3]) ~= entity
    if moves and (usage and usage[4] or 0) + 1 > use[6] then return use[1] end
  end
end

-- Counts a reservation (sign 1) or gives it back (sign -1). Every period stays with its entries, for a wish may be brought days after it was
-- taken down.
local function count_uses(record, uses, channel, choice, sign)
  for _, use in ipairs(uses) do
    local entity = entity_of(use, channel, choice)
    local usage = used(record, use, entity)
    local kept = {}
    for _, other in ipairs(record[4]) do
      if other ~= usage then kept[#kept + 1] = other end
    end
    local count = (usage and usage[4] or 0) + sign
    if count > 0 then kept[#kept + 1] = { use[1], entity, use[5], count, 0 } end
    record[4] = kept
  end
end

