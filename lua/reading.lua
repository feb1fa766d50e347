-- What the scripts that only read lists share; it stands behind the prelude in those.

-- Lua's own < goes by the locale of Redis; sorted sets order members by bytes.
local function less(left, right)
  for i = 1, math.min(#left, #right) do
    local l, r = string.byte(left, i), string.byte(right, i)
    if l ~= r then return l < r end
  end
  return #left < #right
end

-- The rank in a sorted set of what comes behind (score, member), or before it where `reverse`; the member itself need not
-- be there any more, so a page goes on where the last one ended whatever came and went since.
local function rank_behind(set, score, member, reverse)
  local low = redis.call('ZCOUNT', set, '-inf', '(' .. score)
  local high = low + redis.call('ZCOUNT', set, score, score)
  -- The first rank in low..high whose member is greater (or, reversed, not less).
  while low < high do
    local middle = math.floor((low + high) / 2)
    local found = redis.call('ZRANGE', set, middle, middle)[1]
    if less(found, member) or (found == member and not reverse) then low = middle + 1 else high = middle end
  end
  return reverse and low - 1 or low
end

-- The segments of the log in their order: {number, from, start, stop}, `from` being the number of their first event.
local function segments()
  open_log()
  local e, found = events, {}
  for n = tonumber(redis.call('HGET', key('log'), 'first') or '1'), e.segment - 1 do
    local from, start, stop = string.match(redis.call('HGET', key('log'), n) or '', '^(%d+) %d+ (%d+) (%d+) %d+$')
    if from then found[#found + 1] = { n, tonumber(from), tonumber(start), tonumber(stop) } end
  end
  found[#found + 1] = { e.segment, e.from, e.start, e.time }
  return found
end

local function event_number(ref) return tonumber(string.match(ref, '^%d+%-(%d+)$')) end

-- The place of the segment that holds an event among `all`, or nil.
local function segment_of(all, ref)
  local number = event_number(ref)
  if not number then return nil end
  for i = #all, 1, -1 do
    if all[i][2] <= number then return i end
  end
end

-- The event at `index` (from 1) of an entry: {ref, message, state, created, before, detail, body}; nil behind the last.
local function event_of(entry, index)
  local f = entry[2]
  if f[1] == 'message' then return index == 1 and { entry[1], f[2], f[4], f[6], f[8], f[10], f[12] } or nil end
  local id, refs = f[2 * index + 1], f[2 * index + 2]
  if not refs then return nil end
  local ms, number = string.match(entry[1], '^(%d+)%-(%d+)$')
  local created, before = string.match(refs, '^(%S*) ?(%S*)$')
  return { ms .. '-' .. text(number + index - 1), id, f[2], created, before == '' and created or before, '', '' }
end

-- The entry of a segment that holds an event, or would, and at which index.
local function find_event(stream, ref)
  local entry = redis.call('XREVRANGE', stream, ref, '-', 'COUNT', 1)[1]
  return entry, entry and event_number(ref) - event_number(entry[1]) + 1
end

local function read_event(all, ref)
  local at = ref and ref ~= '' and segment_of(all, ref)
  if not at then return nil end
  local entry, index = find_event(key('log', all[at][1]), ref)
  local event = entry and event_of(entry, index)
  return event and event[1] == ref and event or nil
end
