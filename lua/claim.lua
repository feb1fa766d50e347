#!lua flags=allow-oom
-- claim: gives a node messages to deliver, lane by lane around the ring.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  node
--   ARGV[3]  claim number, one higher for each new claim of this node
--   ARGV[4]  "resent" where a claim of this number was sent before and not answered; "follows" where the call before left
--            it to this one to wake who sleeps; else ""
--   ARGV[5]  capacity of the node: requests in flight at most
--   ARGV[6]  share: a lane starts only while it has fewer in flight on this node than share x what is free
--   ARGV[7]  messages at most in this answer
--   ARGV[8]  bytes at most (the first message goes however large it is)
--   ARGV[9]  entries from one lane before the next has its turn
--   ARGV[10] lanes to look at in this call at most
--   ARGV[11] round: "" to begin one, else what the call before answered
--
--   returns  {"ok", round, capped, message ...}, a message being
--              {id, place, retried, reclaimed, request, body, due}
--            where place is what `settle` must name; or with a large body, which the node reads for itself, because Redis's
--            Lua looks at each byte that goes through it:
--              {id, place, retried, reclaimed, request, "", due, the name of its body:<name>, the body's bytes}
--            round: "" when the node has seen the whole ring and may sleep,
--            "full" when its capacity is used up (claim again after a settle), else call again with it ("new" where
--            the answer was full and a new round begins). capped: 1 where a lane looked at may start more only
--            after one of its own has ended on this node (claim again after a settle)
--            {"expired"}: the node's lease has ended or was never taken; renew first
--            {"clock", last}
--   writes   lane:<lane> again:<lane> active:<node> share:<node> message:<id> gate:<lane> held:<lane> open reopen idle
--            log log:<n> history:<n> sequence counts clock aside; publishes wake
--
-- It never fails on data: a lane without a stream leaves the ring, an entry without a readable record is removed
-- and set aside. A resent claim answers what its number took before.

local now = clock()
if not now then return clock_refusal() end

local node, number = ARGV[2], ARGV[3]
local lease = redis.call('ZSCORE', key('nodes'), node)
if not lease or tonumber(lease) < now then return { 'expired' } end

local active, share_key = key('active', node), key('share', node)
local capacity, share = tonumber(ARGV[5]), tonumber(ARGV[6])
local most, most_bytes, quantum, most_lanes = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local answer, bytes, moves = { 'ok', '', 0 }, 0, 0

-- The record of a message: {request, body, created, event, shared, retried, reclaimed, queue, flow}, false or nil for what it has
-- not; the last two only gated lanes look at. A field that is asked for costs as much when it is not there, and what most
-- messages have not is told by what they have: `hold` gives each whose first event is known an `event`. A key of another type
-- has nothing of what is asked for.
local function fetch(message, gated)
  if gated then
    return redis.pcall('HMGET', message, 'request', 'body', 'created', 'event', 'shared', 'retried', 'reclaimed', 'queue', 'flow')
  end
  local r = redis.pcall('HMGET', message, 'request', 'body', 'created', 'event')
  if r[1] and not (r[2] and r[3] and not r[4]) then
    r[5], r[6], r[7] = unpack(redis.call('HMGET', message, 'shared', 'retried', 'reclaimed'))
  end
  return r
end

local large_body = 16384
local key, text = key, text

-- The message as the node needs it, or nil where the record cannot be read.
local function load(id, held, r, due)
  local body, name, length = r[2], r[5], nil
  if name then
    -- A key of another type has no body.
    length = tonumber(redis.pcall('HSTRLEN', key('body', name), 'text')) or 0
    body = length > large_body and '' or length > 0 and redis.call('HGET', key('body', name), 'text')
  end
  if not r[1] or not body then return nil end
  local message = { id, held, r[6] or '0', r[7] or '0', r[1], body, due or '0' }
  if length and length > large_body then message[8], message[9] = name, length end
  bytes = bytes + #r[1] + (length or #body)
  return message
end

if ARGV[4] == 'resent' then
  for _, held in ipairs(held_by(node)) do
    local _, _, _, claim = read_place(held.place)
    if claim == number then
      local message = key('message', held.id)
      answer[#answer + 1] = load(held.id, held.place, fetch(message), redis.pcall('HGET', message, 'due'))
    end
  end
  if #answer > 3 then
    answer[2] = 'new'
    return answer
  end
end

local in_flight = redis.call('HLEN', active)

-- The next entries of a stream, none where it has none (or, for a ring member left by mistake, no group).
local function read(stream, most)
  local reply = redis.pcall('XREADGROUP', 'GROUP', 'deliver', 'deliver', 'COUNT', text(most), 'STREAMS', stream, '>')
  if not reply or reply.err then return {} end
  return reply[1][2]
end

-- Entries that were read and are not to be taken, from number `first` on: they wait as if they had not been read.
local function unread(stream, entries, first)
  local ids = {}
  for i = first, #entries do ids[#ids + 1] = entries[i][1] end
  redis.call('XACK', stream, 'deliver', unpack(ids))
  redis.call('XGROUP', 'SETID', stream, 'deliver', entries[first - 1][1])
end

-- Makes it this node's; message: the key of its record. False where that can't be read: then it is gone, and noted.
local function hold(id, stream, lane, entry, due, message, record)
  local place = stream .. ' ' .. entry .. ' ' .. number
  local loaded = record and load(id, place, record, due)
  if not loaded then
    remove_entry(stream, lane, entry, true)
    set_aside(stream .. ' ' .. entry .. ' ' .. tostring(id) .. ': no readable record')
    if id then give_up(id, lane, now) end
    moves = moves + 1
    return false
  end
  defer('HSET', active, id, place)
  local created, before = record[3], record[4] or record[3]
  local ref = log(id, 'ACTIVE', created, before, '', '', now, record[1]) or before
  if ref then
    redis.call('HSET', message, 'state', 'active', 'event', ref)
  else
    redis.call('HSET', message, 'state', 'active')
  end
  in_flight = in_flight + 1
  answer[#answer + 1] = loaded
  return true
end

-- What is moved on costs as much as what is answered.
local function room() return #answer - 3 + moves < most and bytes < most_bytes and in_flight < capacity end

local function note_share(lane, more)
  if more == 0 then return end
  redis.call('HINCRBY', share_key, lane, text(more))
  count('held', lane, more)
end

-- How many of a lane with `held` in flight here may start: each of them makes what is free one less.
local function allowance(held) return math.ceil((share * (capacity - in_flight) - held) / (1 + share)) end

-- How many messages to read: as many as there is room for, if they are as large as the ones before.
local function fitting(wanted)
  local answered = #answer - 3
  local each = answered > 0 and bytes / answered or 1
  return math.max(1, math.min(wanted, most - answered - moves, capacity - in_flight, math.ceil((most_bytes - bytes) / each)))
end

-- Takes up to a quantum (`left`) from one lane. Answers "left" (it has more that may run), "capped" or "empty".
--
-- Entries are read several at a time, which costs Redis a fraction of one at a time; the limits are held for each all the
-- same: what was read beyond them is unread at once.
local function take(lane, left)
  local again, fresh = again_stream(lane), lane_stream(lane)
  local stream = redis.call('EXISTS', again) == 1 and again or fresh
  local held = tonumber(redis.call('HGET', share_key, lane) or '0')
  local before, verdict = held, 'left'
  while left > 0 and room() do
    local may = allowance(held)
    if may <= 0 then
      verdict = waiting(again) + waiting(fresh) > 0 and 'capped' or 'empty'
      break
    end
    local wanted = fitting(math.min(left, may))
    local entries = read(stream, wanted)
    local all_taken = true
    for i, entry in ipairs(entries) do
      if i > 1 and not room() then
        unread(stream, entries, i)
        all_taken = false
        break
      end
      left = left - 1
      local id, due = entry[2] and entry[2][2], entry[2] and entry[2][4]
      local message = id and key('message', id)
      if hold(id, stream, lane, entry[1], due, message, id and fetch(message)) then held = held + 1 end
    end
    if all_taken and #entries < wanted then
      if stream == fresh then verdict = 'empty' break end
      stream = fresh
    end
  end
  note_share(lane, held - before)
  return verdict
end

-- Whether an entry was moved to where something else decides first.
local moved = false

-- The same for a lane with a gate: "closed" where the gate lets nothing more through. A message of a queue that has a
-- flow key, too, goes on into the flow lane once it has the queue's slot; one whose queue was paused meanwhile goes back
-- before its queue and keeps that slot, or it would block all others behind its flow key.
local function take_gated(lane)
  -- Moves a claimed entry to where something else decides first; answers its new place.
  local function move(id, stream, from, entry, to, lane, due)
    moved, moves = true, moves + 1
    remove_entry(stream, from, entry, true)
    redis.call('HSET', key('message', id), 'place', append(to, lane, id, due))
  end

  -- Every start counts in the key's window; the first after a window's end begins the next.
  local function count_start(lane, gate)
    if gate.window_end == 0 then
      redis.call('HSET', key('gate', lane), 'windowStart', text(now), 'windowCount', 1)
      gate.window_end, gate.count = math.huge, 1
    else
      gate.count = redis.call('HINCRBY', key('gate', lane), 'windowCount', 1)
    end
  end

  -- Whether a queue is paused or being deleted.
  local function is_shut(queue)
    local g = redis.call('HMGET', key('gate', 'queue:' .. queue), 'paused', 'deletedTo')
    return g[1] == '1' or g[2]
  end

  local gate, queue = read_gate(lane, now), is_queue(lane)
  local again, fresh = again_stream(lane), lane_stream(lane)
  local again_left = waiting(again)
  local fresh_left, last = waiting(fresh)
  local slots = gate.parallelism == 0 and math.huge or gate.parallelism - redis.call('SCARD', key('held', lane))
  local held = tonumber(redis.call('HGET', share_key, lane) or '0')
  local before, verdict = held, 'left'
  for _ = 1, quantum do
    if not room() then break end
    local goes_again = again_left > 0
    if gate.paused or not rate_allows(gate) then verdict = 'closed' break end
    if not goes_again then
      if fresh_left <= 0 or slots <= 0 then verdict = 'closed' break end
      if queue and due_behind(fresh, last) > now then verdict = 'closed' break end
    end
    if held >= share * (capacity - in_flight) then verdict = 'capped' break end
    local stream = goes_again and again or fresh
    local found = read(stream, 1)[1]
    if not found then verdict = 'closed' break end
    local entry, id, due = found[1], found[2] and found[2][2], found[2] and found[2][4]
    if goes_again then again_left = again_left - 1 else fresh_left, last = fresh_left - 1, entry end
    local message = id and key('message', id)
    local r = id and fetch(message, true)
    if r and queue and r[9] then
      slots = slots - redis.call('SADD', key('held', lane), id)
      move(id, stream, lane, entry, lane_stream('flow:' .. r[9]), 'flow:' .. r[9], due)
    elseif r and not queue and r[8] and is_shut(r[8]) then
      slots = slots + redis.call('SREM', key('held', lane), id)
      move(id, stream, lane, entry, again_stream('queue:' .. r[8]), 'queue:' .. r[8], due)
    elseif hold(id, stream, lane, entry, due, message, r) then
      slots = slots - redis.call('SADD', key('held', lane), id)
      if not queue then count_start(lane, gate) end
      held = held + 1
    end
  end
  note_share(lane, held - before)
  return verdict
end

local round = tonumber(ARGV[11]) or next_number()
local open = key('open')
local looked, left = 0, {}
local lanes = redis.call('ZRANGE', open, '-inf', text(round), 'BYSCORE', 'LIMIT', '0', ARGV[10])

local function visit(lane, quantum)
  local gated = is_gated(lane)
  local verdict = gated and take_gated(lane) or not gated and take(lane, quantum)
  if verdict == 'empty' then
    redis.call('ZREM', open, lane)
  elseif verdict == 'closed' then
    touch(lane)
  else
    redis.call('ZADD', open, text(next_number()), lane)
    if verdict == 'left' then left[#left + 1] = lane else answer[3] = 1 end
  end
end

local function go_round()
  for _, lane in ipairs(lanes) do
    if not room() then break end
    looked = looked + 1
    visit(lane, quantum)
  end
  while #left > 0 and room() do
    local turn = left
    left = {}
    for i, lane in ipairs(turn) do
      -- One that is alone keeps nobody waiting.
      if room() then visit(lane, #turn == 1 and most or quantum) else left[#left + 1] = lane end
    end
  end
end

-- What it took before it failed is this node's, and a resent claim answers it.
local fine, problem = pcall(go_round)
-- A gate may have closed behind the last that went through.
for _, lane in ipairs(left) do touch(lane) end
finish(now)
if not fine then return redis.error_reply(problem_text(problem)) end

local is_full, is_left = in_flight >= capacity, #left > 0 or looked < #lanes or moved
if ARGV[4] == 'follows' and (is_full or is_left or answer[3] == 1) then wake() end
if is_full then
  answer[2] = 'full'
elseif is_left then
  answer[2] = 'new'
else
  -- Set before a long round ends, too: a lane that joins behind its start has its wake-up published then.
  redis.call('SET', key('idle'), text(now))
  if looked == most_lanes and redis.call('ZCOUNT', open, '-inf', text(round)) > 0 then answer[2] = text(round) end
end
return answer
