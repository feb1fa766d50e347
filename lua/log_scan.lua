#!lua flags=allow-oom
-- log_scan: one page of the log, whatever it is about. Changes nothing.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  "latestFirst" or "earliestFirst"
--   ARGV[3]  cursor: "" to begin, or a ref to go on behind it
--   ARGV[4]  the earliest time and
--   ARGV[5]  the latest, ms, "" for any
--   ARGV[6]  how many events at most
--   ARGV[7]  bytes to read at most, bodies too (the first goes however large it is)
--
--   returns  {"ok", more, {event ...}, {ref, request, ref, request ...}}: more is 1 where the log goes on behind the last
--            event; an event being {ref, message, state, created, before, detail}; then what the messages of the page asked
--            for (JSON text), by the refs of their first events where those are still there
--            {"clock", last}
--   writes   clock

local now = clock()
if not now then return clock_refusal() end

local reverse, cursor = ARGV[2] == 'latestFirst', ARGV[3]
local earliest, latest = tonumber(ARGV[4]), tonumber(ARGV[5])
local most, most_bytes, bytes = tonumber(ARGV[6]), tonumber(ARGV[7]), 0
local all = segments()
local found, requests, more = {}, {}, 0

local function add(event)
  local state, created = event[3], event[4]
  if state == 'CREATED' then created = event[1] end
  if requests[created] == nil and created ~= '' then
    local first = state == 'CREATED' and event or read_event(all, created)
    requests[created] = first and first[6] or false
    bytes = bytes + #(requests[created] or '') + #(first and first[7] or '')
  end
  if state == 'CREATED' then event[6] = '' end
  bytes = bytes + 150 + #event[6] + #event[7]
  event[4], event[7] = created, nil
  found[#found + 1] = event
end

local first, last, step = 1, #all, 1
if reverse then first, last, step = #all, 1, -1 end
local at = cursor ~= '' and segment_of(all, cursor)
if cursor ~= '' and not at then
  -- All up to it are gone already.
  if reverse then first, last = 0, 1 end
elseif at then
  first = at
end

-- The events of an entry, up to what there is room for; of the cursor's entry only those behind it.
local after = cursor ~= '' and event_number(cursor)
local function add_all(entry, is_at)
  local count = entry[2][1] == 'message' and 1 or #entry[2] / 2 - 1
  for i = reverse and count or 1, reverse and 1 or count, step do
    local event = event_of(entry, i)
    local number = is_at and event_number(event[1])
    if not number or reverse and number < after or not reverse and number > after then
      if #found >= most or (bytes > most_bytes and #found > 0) then return false end
      add(event)
    end
  end
  return true
end

for i = first, last, step do
  local segment = all[i]
  local stream = key('log', segment[1])
  local low, high = earliest and text(earliest) or '-', latest and text(latest) or '+'
  if i == at then
    -- Behind the cursor, within the times: ids compare as numbers, so the narrower bound is the greater (the lesser).
    local ms = tonumber(string.match(cursor, '^%d+'))
    if reverse then
      if not latest or latest >= ms then high = '(' .. cursor end
    elseif not earliest or earliest <= ms then
      local entry = find_event(stream, cursor)
      low = entry and entry[1] or cursor
    end
  end
  if (not earliest or segment[4] >= earliest) and (not latest or segment[3] <= latest) then
    local piece = math.min(most - #found + 1, most + 1, 20)
    while more == 0 do
      local entries = reverse and redis.call('XREVRANGE', stream, high, low, 'COUNT', piece)
        or redis.call('XRANGE', stream, low, high, 'COUNT', piece)
      for _, entry in ipairs(entries) do
        if not add_all(entry, i == at) then more = 1 break end
      end
      if #entries < piece then break end
      if reverse then high = '(' .. entries[#entries][1] else low = '(' .. entries[#entries][1] end
    end
  end
  if more == 1 then break end
end

local pairs_of = {}
for ref, request in pairs(requests) do
  if request then
    pairs_of[#pairs_of + 1] = ref
    pairs_of[#pairs_of + 1] = request
  end
end
return { 'ok', more, found, pairs_of }
