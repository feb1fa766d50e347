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

-- {ref, message, state, created, before, detail, body} of a stream's entry.
local function event_fields(entry)
  local f = entry[2]
  return { entry[1], f[2], f[4], f[6], f[8], f[10], f[12] }
end

local function read_event(all, ref)
  local at = ref and ref ~= '' and segment_of(all, ref)
  local entry = at and redis.call('XRANGE', key('log', all[at][1]), ref, ref)[1]
  return entry and event_fields(entry)
end
