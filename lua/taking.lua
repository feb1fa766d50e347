-- The fourth part of the prelude, of `claim` and `publish`: how a node is given messages, lane by lane around the ring.

local key, text = key, text

-- Whether a node's lease was taken and has not ended: nobody else is given anything.
local function is_alive(node, now)
  local lease = redis.call('ZSCORE', key('nodes'), node)
  return lease and tonumber(lease) >= now
end

local large_body = 16384

-- What a claim gives: answers `resend`, which finds what a claim of this number took before (nil: nothing),
-- and `give`. Both answer {"ok", round, capped, message ...} as `claim` does; `give` may answer an error.
--
-- ARGV from `at` on: capacity, share, messages, bytes, entries of one lane and lanes at most, as `claim` has them.
-- unwritten: messages this call has made, whose records it has yet to write (`create`), by their ids; or nil. They are answered
--            as {id, place}: who has just sent them knows the rest.
local function giving(node, number, at, now, unwritten)
  local active, share_key = key('active', node), key('share', node)
  local capacity, share, most = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local most_bytes, quantum, most_lanes = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
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

  local function resend()
    for _, held in ipairs(held_by(node)) do
      local _, _, _, claim = read_place(held.place)
      if claim == number then
        local message = key('message', held.id)
        answer[#answer + 1] = load(held.id, held.place, fetch(message), redis.pcall('HGET', message, 'due'))
      end
    end
    if #answer == 3 then return nil end
    answer[2] = 'new'
    return answer
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
      if id then
        -- What else is wrong with it must not keep those behind it.
        local fine, problem = pcall(give_up, id, lane, now)
        if not fine then set_aside('give up ' .. id .. ': ' .. problem_text(problem)) end
      end
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

  -- The same for one whose record is not written yet: it is written as what it is now.
  local function hold_unwritten(id, record)
    local request, place, created, body = record[2], record[5] .. ' ' .. number, record[6], record[7]
    defer('HSET', active, id, place)
    write_plain('active', log(id, 'ACTIVE', created, created, '', '', now, request) or created, unpack(record))
    unwritten[id] = nil
    bytes, in_flight = bytes + #request + #body, in_flight + 1
    answer[#answer + 1] = { id, place }
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
        local new = unwritten and unwritten[id]
        if new then
          hold_unwritten(id, new)
          held = held + 1
        else
          local message = id and key('message', id)
          if hold(id, stream, lane, entry[1], due, message, id and fetch(message)) then held = held + 1 end
        end
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
    local function free_slots()
      return gate.parallelism == 0 and math.huge or gate.parallelism - redis.call('SCARD', key('held', lane))
    end
    local slots = free_slots()
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
      else
        slots = free_slots()
      end
    end
    note_share(lane, held - before)
    return verdict
  end

  local open = key('open')
  local lanes, looked, left

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
    -- A lane that is alone keeps nobody waiting.
    local each = #lanes == 1 and most or quantum
    for _, lane in ipairs(lanes) do
      if not room() then break end
      looked = looked + 1
      visit(lane, each)
    end
    while #left > 0 and room() do
      local turn = left
      left, each = {}, #left == 1 and most or quantum
      for _, lane in ipairs(turn) do
        if room() then visit(lane, each) else left[#left + 1] = lane end
      end
    end
  end

  -- round: as `claim` has it. wakes: who sleeps is told of what is left; sleeps: the node will, where nothing is.
  local function give(round, wakes, sleeps)
    round = tonumber(round) or next_number()
    -- What was opened before stands in this round; what is opened from here on, in none.
    is_wake_left = false
    looked, left = 0, {}
    lanes = redis.call('ZRANGE', open, '-inf', text(round), 'BYSCORE', 'LIMIT', '0', text(most_lanes))
    -- What it took before it failed is this node's, and a resent claim answers it.
    local fine, problem = pcall(go_round)
    -- A gate may have closed behind the last that went through.
    for _, lane in ipairs(left) do touch(lane) end
    finish(now)
    local is_full, is_left = in_flight >= capacity, #left > 0 or looked < #lanes or moved or is_wake_left
    local is_long = looked == most_lanes and redis.call('ZCOUNT', open, '-inf', text(round)) > 0
    if wakes and (not fine or is_full or is_left or is_long or answer[3] == 1) then
      is_claimed_next = false
      wake()
    end
    if not fine then return redis.error_reply(problem_text(problem)) end
    if is_full then
      answer[2] = 'full'
    elseif is_left then
      answer[2] = 'new'
    else
      -- Set before a long round ends, too: a lane that joins behind its start has its wake-up published then.
      if sleeps then redis.call('SET', key('idle'), text(now)) end
      if is_long then answer[2] = text(round) end
    end
    return answer
  end

  return resend, give
end
