-- Shared by every script: the overlay over which the members of a batch are judged, and the one flush at its end.
-- KEYS[1] header hash of the slot, KEYS[2] its ledger stream, KEYS[3..] keys of the members (a member names them by index).
-- ARGV[1] msgpack {now ms, guard 0|1, {campaign, view, campaign, view, ...}, {shared, ...}}; ARGV[2..] one msgpack array per member.
-- What many members have in common is unpacked once: a member names its place among the shared.
-- Everything is read and judged first; nothing is written before finish(), and what finish() writes cannot fail halfway.
local env = cmsgpack.unpack(ARGV[1])
local now = env[1]
if env[2] == 1 then
  local time = redis.call('TIME')
  local store_now = time[1] * 1000 + math.floor(time[2] / 1000)
  if math.abs(now - store_now) > 1000 then
    return { 'clock', string.format('%.0f', store_now) }
  end
end
for i = 1, #env[3], 2 do
  local view = redis.call('HGET', KEYS[1], 'v:' .. env[3][i])
  if view ~= env[3][i + 1] then
    return { 'stale', env[3][i], view or '' }
  end
end

local members = {}
for i = 2, #ARGV do
  members[i - 1] = cmsgpack.unpack(ARGV[i])
end

local shared = env[4]
local overlay, dirty, ttls, lines = {}, {}, {}, {}
-- Counters of the header that this batch has read, and those that it has changed: as numbers until the flush, for a batch changes
-- the same few a hundred times.
local numbers, counted = {}, {}

-- The value of a field as this batch sees it; nil when it is absent.
local function get(key, field)
  if key == 1 and counted[field] then return string.format('%.0f', numbers[field]) end
  local fields = overlay[key]
  if not fields then
    fields = {}
    overlay[key] = fields
  end
  local value = fields[field]
  if value == nil then
    value = redis.call('HGET', KEYS[key], field)
    fields[field] = value
  end
  return value or nil
end

-- Notes a write; the field must have been read before, so that its key's type is known and the flush cannot fail.
local function put(key, field, value)
  if key == 1 then numbers[field], counted[field] = nil, nil end
  overlay[key][field] = value
  dirty[key] = dirty[key] or {}
  dirty[key][field] = true
end

local function del(key, field)
  put(key, field, false)
end

local function expire(key, ttl_ms)
  ttls[key] = ttl_ms
end

local function unpacked(key, field)
  local value = get(key, field)
  return value and cmsgpack.unpack(value)
end

local function counter(name)
  local n = numbers[name]
  if not n then
    n = tonumber(get(1, name) or 0)
    numbers[name] = n
  end
  return n
end

local function add(name, n)
  numbers[name] = counter(name) + n
  counted[name] = true
end

-- Appends one ledger line; its seq is its place in the batch.
local function line(fields)
  lines[#lines + 1] = fields
end

local function flush_key(key, fields)
  local sets, dels = {}, {}
  for field in pairs(fields) do
    local value = overlay[key][field]
    if value == false then
      dels[#dels + 1] = field
    else
      sets[#sets + 1] = field
      sets[#sets + 1] = value
    end
  end
  if #sets > 0 then redis.call('HSET', KEYS[key], unpack(sets)) end
  if #dels > 0 then redis.call('HDEL', KEYS[key], unpack(dels)) end
  if ttls[key] then redis.call('PEXPIRE', KEYS[key], ttls[key]) end
end

-- Flushes ledger, header and records, and answers {epoch, seq, reply per member}.
local function finish(replies)
  local seq = counter('seq')
  for name in pairs(counted) do
    local n = numbers[name]
    put(1, name, string.format('%.0f', n))
  end
  if #lines > 0 then
    redis.call('XADD', KEYS[2], string.format('%.0f-0', seq + 1), 't', string.format('%.0f', now), 'l', cmsgpack.pack(lines))
    seq = seq + #lines
    put(1, 'seq', string.format('%.0f', seq))
  end
  if dirty[1] then flush_key(1, dirty[1]) end
  for key, fields in pairs(dirty) do
    if key ~= 1 then flush_key(key, fields) end
  end
  local out = { counter('epoch'), seq }
  for i, reply in ipairs(replies) do
    out[i + 2] = cmsgpack.pack(reply)
  end
  return out
end

