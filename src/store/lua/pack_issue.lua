-- Credits a pack in any mode, whole or not at all, while the shard's allowance lasts; a repeat answers the pack that is there.
-- KEYS 1 header hash, 2 ledger stream, 3.. person buckets (hash)
-- ARGV member {{person bucket}, field, tail, plan}; plan is shared: {campaign, round, channel, pack, cell, allowance field,
--   {expiry hour, fen, ...}, shard, shards, needs entry 0|1, key by pack 0|1, most packs in the round or 0, {excluded round, ...},
--   {limit, entity, period, most count or -1, most amount or -1, fen, ...}, seconds from which hours and periods hold, seconds until they do
--   (0 = always)}
-- Replies: refused plan_stale; refused not_eligible; refused excluded; refused max_packs; refused limit_reached {limit};
--   refused empty {leases applied, returns}; replay {pack number, at, index, pack}; ok {pack number, at, index, pack}
-- Keeps: packs issued of a supply, over all its channels <= this shard's allowance; one pack per person, round and channel (and pack,
--   where a person names it); packs of a person in a round <= most packs; claims of a limit in its period <= its maximum.
local plans = {}

-- A plan with the names of its counters, made once for all members that share it.
local function plan_of(place)
  local plan = plans[place]
  if plan then return plan end
  local p = shared[place]
  plan = {
    campaign = p[1], round = p[2], channel = p[3], pack = p[4], packs = p[5] .. ':pk', outstanding = {},
    allowance = p[6], issued = p[6] .. ':issued', number = 'no:' .. p[1], shard = p[8], shards = p[9],
    needs_entry = p[10] == 1, by_pack = p[11] == 1, most = p[12], excluded = p[13], limits = p[14], from = p[15], till = p[16],
  }
  for i = 1, #p[7], 2 do
    plan.outstanding[#plan.outstanding + 1] = { p[5] .. ':out:' .. p[7][i], p[7][i + 1] }
  end
  plans[place] = plan
  return plan
end

local function repeated(plan, record)
  for i, pack in ipairs(record[3]) do
    if pack[1] == plan.round and pack[2] == plan.channel and (not plan.by_pack or pack[3] == plan.pack) then
      return { 'replay', pack[4], pack[5], i - 1, pack[3] }
    end
  end
end

local function has_entry(plan, record)
  for _, entry in ipairs(record[2]) do
    if entry[1] == plan.round and entry[2] == plan.channel and entry[6] ~= 1 then return true end
  end
  return not plan.needs_entry
end

local function packs_of(record, round)
  local n = 0
  for _, pack in ipairs(record[3]) do
    if pack[1] == round then n = n + 1 end
  end
  return n
end

-- What a person has used of the limit that starts at i, in its period.
local function used(record, limits, i)
  for _, use in ipairs(record[4] or {}) do
    if use[1] == limits[i] and use[2] == limits[i + 1] and use[3] == limits[i + 2] then return use end
  end
  return { limits[i], limits[i + 1], limits[i + 2], 0, 0 }
end

-- The first limit that one more pack would pass.
local function passed(record, limits)
  for i = 1, #limits, 6 do
    local use = used(record, limits, i)
    local count_fits = limits[i + 3] < 0 or use[4] + 1 <= limits[i + 3]
    local amount_fits = limits[i + 4] < 0 or use[5] + limits[i + 5] <= limits[i + 4]
    if not (count_fits and amount_fits) then return limits[i] end
  end
end

-- Counts one more pack; older periods of a counted limit leave the record, so that it stays small.
local function count(record, limits)
  for i = 1, #limits, 6 do
    local use = used(record, limits, i)
    local kept = {}
    for _, other in ipairs(record[4] or {}) do
      local older = other[1] == limits[i] and other[3] < limits[i + 2]
      if not older and other ~= use then kept[#kept + 1] = other end
    end
    use[4], use[5] = use[4] + 1, use[5] + limits[i + 5]
    kept[#kept + 1] = use
    record[4], record[5] = kept, record[5] or {}
  end
end

local function issue(m, plan, record, at)
  local number = counter(plan.number) * plan.shards + plan.shard + 1
  local packs = record[3]
  packs[#packs + 1] = { plan.round, plan.channel, plan.pack, number, at, '' }
  count(record, plan.limits)
  add(plan.number, 1)
  add(plan.packs, 1)
  add(plan.issued, 1)
  for _, due in ipairs(plan.outstanding) do
    add(due[1], due[2])
  end
  line({ 'P', plan.campaign, m[2], plan.round, plan.channel, plan.pack, number })
  put(m[1][1], m[2], cmsgpack.pack(record))
  return { 'ok', number, at, #packs - 1, plan.pack }
end

local function judge(m)
  local plan = plan_of(m[4])
  local record = unpacked(m[1][1], m[2]) or { m[3], {}, {} }
  local replay = repeated(plan, record)
  if replay then return replay end
  -- Hours of expiry and periods of limits were computed for an instant a moment ago; across a midnight they are computed again.
  local at = math.floor(now / 1000)
  if plan.till > 0 and (at < plan.from or at >= plan.till) then return { 'refused', 'plan_stale' } end
  if not has_entry(plan, record) then return { 'refused', 'not_eligible' } end
  for _, round in ipairs(plan.excluded) do
    if packs_of(record, round) > 0 then return { 'refused', 'excluded' } end
  end
  if plan.most > 0 and packs_of(record, plan.round) >= plan.most then return { 'refused', 'max_packs' } end
  local limit = passed(record, plan.limits)
  if limit then return { 'refused', 'limit_reached', limit } end
  if counter(plan.issued) >= counter(plan.allowance) then
    return { 'refused', 'empty', counter(plan.allowance .. ':k'), counter(plan.allowance .. ':j') }
  end
  return issue(m, plan, record, at)
end

local replies = {}
for i, m in ipairs(members) do
  replies[i] = judge(m)
end
return finish(replies)
