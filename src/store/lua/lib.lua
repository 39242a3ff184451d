-- Shared by every script: the overlay over which the members of a batch are judged, and the one flush at its end.
-- KEYS[1] header hash of the slot, KEYS[2] its ledger stream, KEYS[3..] keys of the members (a member names them by index).
-- ARGV[1] msgpack {now ms, guard 0|1, {campaign, view, campaign, view, ...}, {shared, ...}}; ARGV[2..] one member each: a msgpack array
-- {{place of a key, ...}, ...}, or flat bytes (n, m, places of n keys, places of m shared, then what the script says).
-- What many members have in common is unpacked once: a member names its places among the shared.
-- Everything is read and judged first; nothing is written before finish(), and what finish() writes cannot fail halfway.
local call, byte, sub, char, format, floor = redis.call, string.byte, string.sub, string.char, string.format, math.floor
local KEYS, ARGV = KEYS, ARGV
local env = cmsgpack.unpack(ARGV[1])
local now = env[1]
if env[2] == 1 then
  local time = call('TIME')
  local store_now = time[1] * 1000 + floor(time[2] / 1000)
  if math.abs(now - store_now) > 1000 then
    return { 'clock', format('%.0f', store_now) }
  end
end
for i = 1, #env[3], 2 do
  local view = call('HGET', KEYS[1], 'v:' .. env[3][i])
  if view ~= env[3][i + 1] then
    return { 'stale', env[3][i], view or '' }
  end
end

local shared = env[4]
local overlay, ttls = {}, {}
-- What is to be flushed: fields of the header, and pairs of key and field in two lists, for a table for each would cost more than the write.
local header_writes, written_keys, written_fields, writes = {}, {}, {}, 0
-- Counters of the header that this batch has read, and those that it has changed: as numbers until the flush, for a batch changes
-- the same few a hundred times.
local numbers, counted = {}, {}
-- Ledger lines, how many seqs they take, and the run that the next one may join.
local lines, line_count, run = {}, 0, nil

-- The value of a field as this batch sees it; nil when it is absent.
local function get(key, field)
  if key == 1 and counted[field] then return format('%.0f', numbers[field]) end
  local fields = overlay[key]
  if not fields then
    fields = {}
    overlay[key] = fields
  end
  local value = fields[field]
  if value == nil then
    value = call('HGET', KEYS[key], field)
    fields[field] = value
  end
  return value or nil
end

-- Notes a write; the field must have been read before, so that its key's type is known and the flush cannot fail. A field that is
-- written twice is flushed twice, with its last value.
local function put(key, field, value)
  overlay[key][field] = value
  if key == 1 then
    numbers[field], counted[field] = nil, nil
    header_writes[field] = true
  else
    writes = writes + 1
    written_keys[writes], written_fields[writes] = key, field
  end
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

-- Appends one ledger line, packed or as its fields; its seq is its place in the batch.
local function line(fields)
  lines[#lines + 1] = fields
  line_count = line_count + 1
  run = nil
end

-- Appends the line of one person to the run of those with the same head: {kind, what they have in common, ..., persons' fields, first}.
-- Each takes a seq of its own. A head is one table for all of them.
local function line_of_run(head, field, first)
  if not run or run.head ~= head then
    run = { head = head, fields = {}, first = first }
    lines[#lines + 1] = run
  end
  run.fields[#run.fields + 1] = field
  line_count = line_count + 1
end

local function packed_line(one)
  if type(one) == 'string' then return one end
  if not one.head then return cmsgpack.pack(one) end
  local fields = { unpack(one.head) }
  fields[#fields + 1] = table.concat(one.fields)
  fields[#fields + 1] = one.first
  return cmsgpack.pack(fields)
end

local function packed_lines()
  local packed = { #lines < 16 and char(0x90 + #lines) or struct.pack('>BI2', 0xdc, #lines) }
  for i, one in ipairs(lines) do
    packed[i + 1] = packed_line(one)
  end
  return table.concat(packed)
end

local function flush_header()
  local sets, dels = {}, {}
  for field in pairs(header_writes) do
    local value = overlay[1][field]
    if value == false then
      dels[#dels + 1] = field
    else
      sets[#sets + 1] = field
      sets[#sets + 1] = value
    end
  end
  if #sets > 0 then call('HSET', KEYS[1], unpack(sets)) end
  if #dels > 0 then call('HDEL', KEYS[1], unpack(dels)) end
end

local function flush_records()
  for i = 1, writes do
    local key, field = written_keys[i], written_fields[i]
    local value = overlay[key][field]
    if value then
      call('HSET', KEYS[key], field, value)
    else
      call('HDEL', KEYS[key], field)
    end
  end
  for key, ttl in pairs(ttls) do
    call('PEXPIRE', KEYS[key], ttl)
  end
end

-- Flushes ledger, header and records, and answers {epoch, seq, reply per member}; a reply n is short for {'ok', n}, and one that is a
-- string is bytes of the script's own.
local function finish(replies)
  local seq = counter('seq')
  for name in pairs(counted) do
    local n = numbers[name]
    put(1, name, format('%.0f', n))
  end
  if line_count > 0 then
    call('XADD', KEYS[2], format('%.0f-0', seq + 1), 't', format('%.0f', now), 'l', packed_lines())
    seq = seq + line_count
    put(1, 'seq', format('%.0f', seq))
  end
  flush_header()
  flush_records()
  local out = { counter('epoch'), seq }
  for i, reply in ipairs(replies) do
    out[i + 2] = type(reply) == 'table' and cmsgpack.pack(reply) or reply
  end
  return out
end

-- Judges the members in their order and finishes; what `settle` writes for all of them together comes before the flush.
local function answer(judge, settle)
  local replies = {}
  for i = 2, #ARGV do
    replies[i - 1] = judge(cmsgpack.unpack(ARGV[i]))
  end
  if settle then settle() end
  return finish(replies)
end

-- The same for members that are flat bytes, with what `count` adds for all of them.
local function answer_flat(judge, count)
  local replies = {}
  for i = 2, #ARGV do
    replies[i - 1] = judge(ARGV[i])
  end
  if count then count() end
  return finish(replies)
end
