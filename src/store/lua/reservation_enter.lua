-- Shared by the scripts that put a person on a round's list, after reservation.lua: one wish judged over the person's record.
-- A wish is a flat member of one key, the person bucket: field 9, tail 23, channel, choice, change 0|1, u32 second at which it was
--   taken down or 0 = now, digests of identity keys; terms are shared: {campaign, round, counter prefix, maximum or 0, an entry per
--   channel 0|1, earliest counts 0|1, uses of limits}
-- Replies: refused already_reserved {channel, choice, at}; refused reservation_full; refused limit_reached {limit}; replay {replaced 0, at};
--   ok {replaced 0, at}; ok {replaced 1, at, of what was there channel, choice, at, digests}; 0 = ok, entered at the second of the call
-- Keeps: one entry per person and round (and channel); a round's counters (by channel and choice) are the numbers of its entries.
local second = floor(now / 1000)
local heads = {}

-- The head of the line of everybody who enters with the same terms, channel and choice.
local function head_of(terms, channel, choice)
  local key = terms[3] .. char(channel, choice)
  local head = heads[key]
  if not head then
    head = { 'r', terms[1], terms[2], channel, choice }
    heads[key] = head
    head.count, head.total = count_of(terms[3], channel, choice), terms[3] .. ':total'
  end
  return head
end

local function enter(wish, terms, raw, at)
  local channel, choice = wish.channel, wish.choice
  local head = head_of(terms, channel, choice)
  if terms[4] > 0 and counter(head.total) >= terms[4] then return { 'refused', 'reservation_full' } end
  local person = raw and decoded(raw) or nil
  if #terms[7] > 0 then
    person = person or { wish.tail, {}, {}, {}, {} }
    local limit = exceeded(person, terms[7], channel, choice)
    if limit then return { 'refused', 'limit_reached', limit } end
    count_uses(person, terms[7], channel, choice, 1)
  end
  if person then
    person[2][#person[2] + 1] = { terms[2], channel, choice, at, wish.digests ~= '' and wish.digests or nil }
    put_person(wish.key, wish.field, person)
  else
    put(wish.key, wish.field, '\1\0' .. wish.tail .. char(terms[2], channel, choice, #wish.digests / 2) .. u32(at) .. wish.digests)
  end
  add(head.count, 1)
  add(head.total, 1)
  line_of_run(head, wish.field)
  if at == second then return 0 end
  return { 'ok', 0, at }
end

local function replace(wish, terms, person, entry, at)
  local channel, choice, digests = wish.channel, wish.choice, wish.digests
  local campaign, round, prefix, uses = terms[1], terms[2], terms[3], terms[7]
  local limit = exceeded(person, uses, channel, choice, entry)
  if limit then return { 'refused', 'limit_reached', limit } end
  if entry[2] ~= channel or entry[3] ~= choice then
    count_uses(person, uses, entry[2], entry[3], -1)
    count_uses(person, uses, channel, choice, 1)
  end
  add(count_of(prefix, entry[2], entry[3]), -1)
  add(count_of(prefix, channel, choice), 1)
  local old = { entry[2], entry[3], entry[4], entry[5] or '' }
  entry[2], entry[3], entry[4] = channel, choice, at
  if digests ~= '' then entry[5] = digests end
  line({ 'C', campaign, wish.field, round, channel, choice })
  put_person(wish.key, wish.field, person)
  return { 'ok', 1, at, unpack(old) }
end

local function wish_of(member)
  local channel, choice, change = byte(member, 37, 39)
  return {
    key = byte(member, 3), field = sub(member, 5, 13), tail = sub(member, 14, 36), channel = channel, choice = choice,
    change = change == 1, taken_down = (struct.unpack('>I4', member, 40)), digests = sub(member, 44),
  }
end

local function judge(member)
  local wish, terms = wish_of(member), shared[byte(member, 4)]
  local per_channel, earliest = terms[5] == 1, terms[6] == 1
  local at = wish.taken_down > 0 and wish.taken_down or second
  local raw = get(wish.key, wish.field)
  if not raw then return enter(wish, terms, nil, at) end
  local person = decoded(raw)
  local _, entry = find(person[2], terms[2], per_channel and wish.channel or ANY)
  if not entry then return enter(wish, terms, raw, at) end
  local same = entry[2] == wish.channel and entry[3] == wish.choice
  if wish.taken_down > 0 and earliest and at < entry[4] then return replace(wish, terms, person, entry, at) end
  if wish.change and not (same and (entry[5] or '') == wish.digests) then
    -- A change of mind does not cost the place in time, where time decides.
    return replace(wish, terms, person, entry, earliest and entry[4] or at)
  end
  if same then return { 'replay', 0, entry[4] } end
  return { 'refused', 'already_reserved', entry[2], entry[3], entry[4] }
end
