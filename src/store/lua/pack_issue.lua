-- Credits a pack in any mode, whole or not at all, while the shard's allowance lasts; a repeat answers the pack that is there.
-- KEYS 1 header hash, 2 ledger stream, 3.. person buckets (hash)
-- ARGV member flat: field 9, tail 23, u32 second of receipt or 0 = that of the call. A plan is shared: {campaign, round, channel, pack, cell, allowance field,
--   {expiry hour, fen, ...}, shard, shards, needs entry 0|1, repeat key, most packs in the round or 0,
--   {excluded round, ...}, {limit, entity, period, most count or -1, most amount or -1, fen, ...}, seconds from which hours and periods
--   hold, seconds until they do (0 = always)}; of the repeat key 1 says that the pack is in it, 2 that the channel is not
-- Replies: refused plan_stale; refused not_eligible; refused excluded; refused max_packs; refused limit_reached {limit};
--   refused empty {leases applied, returns}; replay {pack number, at, pack}; ok {pack number, second of receipt}; a pack number = ok at the second
--   of the call
-- Keeps: packs issued of a supply, over all its channels <= this shard's allowance; one pack per person, round and channel (and pack,
--   where a person may have several; of a grant whatever the channel); packs of a person in a round <= most packs; claims of a limit in
--   its period <= its maximum.
local at = floor(now / 1000)
local at_bytes, NO_SECOND = u32(at), u32(0)
local plans, supplies, series = {}, {}, {}

-- A counter that all plans of the call share, and how much it has grown.
local function shared_count(counts, name)
  local count = counts[name]
  if not count then
    count = { n = counter(name), grown = 0 }
    counts[name] = count
  end
  return count
end

-- A plan with the names of its counters, made once for all members that share it.
local function plan_of(place)
  local p = shared[place]
  local plan = {
    round = p[2], channel = p[3], pack = p[4], packs = p[5] .. ':pk', outstanding = {}, allowance = p[6], issued = p[6] .. ':issued',
    number = 'no:' .. p[1], shard = p[8], shards = p[9], needs_entry = p[10] == 1, by_pack = p[11] % 2 == 1,
    any_channel = p[11] >= 2, most = p[12], limits = p[14], from = p[15], till = p[16], excluded = {}, taken = 0,
    head = char(p[2], p[3], p[4], 0), line = { 'p', p[1], p[2], p[3], p[4], p[9] },
  }
  for _, round in ipairs(p[13]) do plan.excluded[round] = true end
  for i = 1, #p[7], 2 do
    plan.outstanding[#plan.outstanding + 1] = { p[5] .. ':out:' .. p[7][i], p[7][i + 1] }
  end
  plan.supply, plan.series = shared_count(supplies, plan.issued), shared_count(series, plan.number)
  plan.supply.most = counter(plan.allowance)
  plans[place] = plan
  return plan
end

-- Looks at the packs that begin at a place: how many are of the round, whether one is of an excluded round, the place behind them, and
-- the reply to a repeat.
local function look_at_packs(plan, record, place)
  local of_round, excluded = 0, false
  for _ = 1, byte(record, 2) do
    local round, channel, pack, units = byte(record, place, place + 3)
    if round == plan.round then
      of_round = of_round + 1
      if (channel == plan.channel or plan.any_channel) and (not plan.by_pack or pack == plan.pack) then
        local number, since = struct.unpack('>I4I4', record, place + 4)
        return of_round, excluded, place, { 'replay', number, since, pack }
      end
    end
    excluded = excluded or plan.excluded[round]
    place = place + 12 + units
  end
  return of_round, excluded, place
end

-- What a person has used of the limit that starts at i, in its period.
local function used(uses, limits, i)
  for _, use in ipairs(uses) do
    if use[1] == limits[i] and use[2] == limits[i + 1] and use[3] == limits[i + 2] then return use end
  end
  return { limits[i], limits[i + 1], limits[i + 2], 0, 0 }
end

-- The first limit that one more pack would pass.
local function passed(uses, limits)
  for i = 1, #limits, 6 do
    local use = used(uses, limits, i)
    local count_fits = limits[i + 3] < 0 or use[4] + 1 <= limits[i + 3]
    local amount_fits = limits[i + 4] < 0 or use[5] + limits[i + 5] <= limits[i + 4]
    if not (count_fits and amount_fits) then return limits[i] end
  end
end

-- The uses with one more pack; older periods of a counted limit are left out, so that the record stays small.
local function counted_uses(uses, limits)
  for i = 1, #limits, 6 do
    local use = used(uses, limits, i)
    local kept = {}
    for _, other in ipairs(uses) do
      local older = other[1] == limits[i] and other[3] < limits[i + 2]
      if not older and other ~= use then kept[#kept + 1] = other end
    end
    use[4], use[5] = use[4] + 1, use[5] + limits[i + 5]
    kept[#kept + 1] = use
    uses = kept
  end
  return uses
end

local function issue(plan, key, field, record, behind, more, received)
  local series, supply = plan.series, plan.supply
  local number = (series.n + series.grown) * plan.shards + plan.shard + 1
  local kept, rest = sub(record, 3, behind - 1), sub(record, behind)
  if #plan.limits > 0 then rest = cmsgpack.pack({ counted_uses(more[1], plan.limits), more[2] }) end
  series.grown = series.grown + 1
  supply.grown = supply.grown + 1
  plan.taken = plan.taken + 1
  local due = received ~= NO_SECOND and received ~= at_bytes
  if due then
    plan.due = plan.due or { 'q', unpack(plan.line, 2) }
    line_of_run(plan.due, field .. received, number)
  else
    line_of_run(plan.line, field, number)
    received = at_bytes
  end
  local first, packs = byte(record, 1, 2)
  put(key, field, char(first, packs + 1) .. kept .. plan.head .. u32(number) .. received .. rest)
  if due then return { 'ok', number, (struct.unpack('>I4', received)) } end
  return number
end

local function judge(member)
  local _, _, key, place = byte(member, 1, 4)
  local plan, field = plans[place] or plan_of(place), sub(member, 5, 13)
  local record = get(key, field) or EMPTY .. sub(member, 14, 36)
  local behind, mark = look_at_entries(record, plan.round, plan.channel)
  local of_round, excluded, rest, replay = look_at_packs(plan, record, behind)
  if replay then return replay end
  -- Hours of expiry and periods of limits were computed for an instant a moment ago; across a midnight they are computed again.
  if plan.till > 0 and (at < plan.from or at >= plan.till) then return { 'refused', 'plan_stale' } end
  if plan.needs_entry and (not mark or mark == 1) then return { 'refused', 'not_eligible' } end
  if excluded then return { 'refused', 'excluded' } end
  if plan.most > 0 and of_round >= plan.most then return { 'refused', 'max_packs' } end
  local more = { {}, {} }
  if #plan.limits > 0 then
    if rest <= #record then more = cmsgpack.unpack(sub(record, rest)) end
    local limit = passed(more[1], plan.limits)
    if limit then return { 'refused', 'limit_reached', limit } end
  end
  if plan.supply.n + plan.supply.grown >= plan.supply.most then
    return { 'refused', 'empty', counter(plan.allowance .. ':k'), counter(plan.allowance .. ':j') }
  end
  return issue(plan, key, field, record, rest, more, sub(member, 37))
end

-- What every pack of a plan adds is added once.
local function count_issued()
  for name, count in pairs(supplies) do if count.grown > 0 then add(name, count.grown) end end
  for name, count in pairs(series) do if count.grown > 0 then add(name, count.grown) end end
  for _, plan in pairs(plans) do
    if plan.taken > 0 then add(plan.packs, plan.taken) end
    for _, due in ipairs(plan.taken > 0 and plan.outstanding or {}) do add(due[1], due[2] * plan.taken) end
  end
end

return answer_flat(judge, count_issued)
