-- The third part of the prelude: how a message comes, waits and goes, and what it gives back when it ends.

local key, text, match, touch, defer = key, text, match, touch, defer

-- The newest message's limits are the key's, unless they are pinned. `used` is kept to the minute.
local function set_flow(flow, parallelism, rate, period, name, now)
  local lane = 'flow:' .. flow
  local gate = key('gate', lane)
  local g = redis.call('HMGET', gate, 'name', 'used', 'pinnedParallelism', 'parallelism', 'pinnedRate', 'rate', 'period')
  if not g[1] then redis.call('SADD', key('flows'), flow) end
  if not g[1] or now - tonumber(g[2] or '0') >= 60000 then redis.call('HSET', gate, 'name', name, 'used', text(now)) end
  if not g[3] and parallelism ~= (g[4] or '0') then
    if parallelism == '0' then redis.call('HDEL', gate, 'parallelism') else redis.call('HSET', gate, 'parallelism', parallelism) end
    touch(lane)
  end
  if not g[5] and (rate ~= (g[6] or '0') or period ~= (g[7] or '')) then
    if rate == '0' then redis.call('HDEL', gate, 'rate') else redis.call('HSET', gate, 'rate', rate) end
    redis.call('HSET', gate, 'period', period)
    touch(lane)
  end
end

-- The id of what took a deduplication id within the window (ms), or false. One that ends later than a window from now was
-- taken before Redis's clock was set back.
local function taken(dedup, window, now)
  local id, till = string.match(redis.call('GET', key('dedup', dedup)) or '', '^(%S+) (%d+)$')
  return id and tonumber(till) > now and tonumber(till) - now <= window and id
end
-- Expiry only collects, a minute later: a publish that is sent again finds what its first arrival found.
local function take(dedup, id, window, now)
  redis.call('SET', key('dedup', dedup), id .. ' ' .. text(now + window), 'PX', text(window + 60000))
end

-- Whether a message can't join a queue, because that would be one more than there may be (`most`, 0 for any number).
local function is_queue_too_many(queue, most)
  return most > 0 and redis.call('SISMEMBER', key('queues'), queue) == 0 and redis.call('SCARD', key('queues')) >= most
end

local function make_queue(queue, now)
  if redis.call('SADD', key('queues'), queue) == 1 then
    redis.call('HSET', key('gate', 'queue:' .. queue), 'createdAt', text(now))
  end
end

-- Writes the record of a plain message: event is the ref of its last event where that is not `created`.
local function write_plain(state, event, message, request, lane, due, place, created, body)
  if event then
    redis.call('HSET', message, 'request', request, 'state', state, 'lane', lane, 'due', due, 'place', place, 'created', created,
      'body', body, 'event', event)
  else
    redis.call('HSET', message, 'request', request, 'state', state, 'lane', lane, 'due', due, 'place', place, 'created', created,
      'body', body)
  end
end

-- Creates a message. content: {text, shared, logged, unwritten}: the body is stored with the message, or, where `shared` is not "",
-- once for all that name it; the first `logged` bytes of it go to the log. Without text the record has its body already.
-- In `unwritten`, where there is one, the record of a plain message that is in its lane is kept by its id instead of being written.
-- gate: "" or "<queue or /> <flow or #> <parallelism> <rate> <period> <name of the flow key>": neither stands in a name.
-- message: the key of its record, where the caller has it at hand.
local function create(id, lane, due, request, gate, content, now, message)
  local queue, flow, place
  if gate ~= '' then
    local parallelism, rate, period, name
    queue, flow, parallelism, rate, period, name = match(gate, '^(%S+) (%S+) (%d+) (%d+) (%d+) (.*)$')
    if queue == '/' then queue = nil end
    if flow == '#' then flow = nil end
    if queue then
      make_queue(queue, now)
      redis.call('HINCRBY', key('gate', 'queue:' .. queue), 'messages', 1)
    end
    if flow then
      set_flow(flow, parallelism, rate, period, name, now)
      redis.call('HINCRBY', key('gate', 'flow:' .. flow), 'messages', 1)
    end
  end
  if queue then
    -- It keeps its place in line whatever its time: the gate looks at the head's.
    place = append(lane_stream(lane), lane, id, due)
  elseif due_time(due) > now then
    place = wait_for_time(id, due)
  elseif flow and tonumber(redis.call('ZRANGE', key('due'), 0, 0, 'WITHSCORES')[2] or 'inf') <= now then
    -- Behind a backlog of overdue messages: the order of due times holds.
    place = wait_for_time(id, due)
  else
    place = append(lane_stream(lane), lane, id, due)
  end
  local body, shared = content.text, content.shared
  local is_shared = body and shared ~= ''
  if is_shared and redis.call('HINCRBY', key('body', shared), 'holders', 1) == 1 then
    redis.call('HSET', key('body', shared), 'text', body)
  end
  message = message or key('message', id)
  local whole = body or content.kept
  local logged = content.ref and '' or #whole <= content.logged and whole or string.sub(whole, 1, content.logged)
  local ref = log(id, 'CREATED', false, content.ref, request, logged, now)
  -- Further messages of a fan-out whose body is kept once for all.
  if shared and shared ~= '' then content.ref = content.ref or ref end
  if body and ref and not (is_shared or queue or flow) then
    -- What most messages are: a table that grows field by field costs as much as the write.
    if content.unwritten and place ~= 'due' then
      content.unwritten[id] = { message, request, lane, due, place, ref, body }
    else
      write_plain('waiting', nil, message, request, lane, due, place, ref, body)
    end
  else
    local fields = { 'request', request, 'state', 'waiting', 'lane', lane, 'due', due, 'place', place }
    local function field(name, value)
      if value then fields[#fields + 1], fields[#fields + 2] = name, value end
    end
    field('queue', queue)
    field('flow', flow)
    field(is_shared and 'shared' or 'body', is_shared and shared or body)
    field('created', ref)
    redis.call('HSET', message, unpack(fields))
  end
  defer('ZADD', key('messages'), text(now), id)
end

local function release_body(shared)
  if shared and redis.call('HINCRBY', key('body', shared), 'holders', -1) <= 0 then
    redis.call('DEL', key('body', shared))
  end
end

-- The id of a message that ended stays known for a while, so that a publish that is sent again finds it.
local function remember_ended(id, now) defer('ZADD', key('ended'), text(now), id) end

-- Whether a message of that id was made, living or ended lately: then the call that would make it has arrived before.
local function is_known(id)
  return redis.call('EXISTS', key('message', id)) == 1 or redis.call('ZSCORE', key('ended'), id)
end

local function shed_ended(before)
  local old = redis.call('ZCOUNT', key('ended'), '-inf', text(before))
  if old > 0 then redis.call('ZREMRANGEBYRANK', key('ended'), 0, math.min(old, 1000) - 1) end
end

-- Removes a dead letter; answers whether it was there.
local function drop_dead(dlq_id)
  if redis.call('ZREM', key('dead'), dlq_id) == 0 then return false end
  release_body(redis.pcall('HMGET', key('dead', dlq_id), 'shared')[1])
  redis.call('DEL', key('dead', dlq_id))
  return true
end

-- A schedule tells how the messages of its last run ended, and of no other run.
local function note_end(schedule, id, result)
  if schedule and redis.call('HEXISTS', key('states', schedule), id) == 1 then
    redis.call('HSET', key('states', schedule), id, result)
  end
end

-- When a schedule runs next, in ms; nil or false: not by itself (it is paused, or never matches again).
local function plan_run(id, time)
  redis.call('ZADD', key('schedules'), time or '+inf', id)
  if time and redis.call('ZRANGE', key('schedules'), 0, 0)[1] == id then
    tell('tick ' .. time)
  end
end

-- A flow slot is held while a request is in flight.
local function free_flow(id, flow)
  if flow and redis.call('SREM', key('held', 'flow:' .. flow), id) == 1 then touch('flow:' .. flow) end
end

-- A queue slot is held from the first attempt until the message has ended and its direct callbacks have, too.
local function free_queue(id, queue)
  if redis.call('EXISTS', key('waits', id)) == 1 then return end
  if redis.call('SREM', key('held', 'queue:' .. queue), id) == 1 then touch('queue:' .. queue) end
end

-- What a message gives back when it ends: its part of the counts, its slots, its place among the callbacks its source
-- waits for: false for what it has not. Its own callbacks exist by now.
local function leave(id, queue, flow, source, source_queue)
  if flow then
    redis.call('HINCRBY', key('gate', 'flow:' .. flow), 'messages', -1)
    free_flow(id, flow)
  end
  if queue then
    local gate = key('gate', 'queue:' .. queue)
    local left = redis.call('HINCRBY', gate, 'messages', -1)
    if left <= 0 and redis.call('SISMEMBER', key('queues'), queue) == 0 then redis.call('DEL', gate) end
    free_queue(id, queue)
  end
  if source and redis.call('SREM', key('waits', source), id) == 1 then
    local state = redis.call('HGET', key('message', source), 'state')
    if not state or state == 'delivered' then free_queue(source, source_queue) end
  end
end

-- The end of a cancelled message, of which nothing is kept but its log.
--
-- before: the ref of the event before, where the record does not have it yet.
local function forget(id, now, before)
  local message = key('message', id)
  local record = redis.call('HMGET', message, 'queue', 'flow', 'source', 'sourceQueue', 'shared', 'schedule', 'created', 'event')
  log_end(id, log(id, 'CANCELED', record[7], before or record[8] or record[7], '', '', now))
  release_body(record[5])
  note_end(record[6], id, 'FAIL')
  redis.call('DEL', message)
  redis.call('ZREM', key('messages'), id)
  remember_ended(id, now)
  leave(id, unpack(record, 1, 4))
end

-- The end of a message whose record can't be used any more: what is known of it is given back, so that nothing waits
-- for it for ever. A key of another type is not ours, and stays.
local function give_up(id, lane, now)
  if redis.call('TYPE', key('message', id)).ok == 'hash' then return forget(id, now) end
  defer('ZREM', key('messages'), id)
  if not is_gated(lane) then return end
  redis.call('HINCRBY', key('gate', lane), 'messages', -1)
  redis.call('SREM', key('held', lane), id)
  touch(lane)
end

-- Splits "<stream key> <entry>[ <claim>]": answers the stream, its lane, the entry and the claim, all of them text, or nil where
-- it can't be read. A stream key holds no blank: names in it are validated or hashed before they come here.
-- The stream is mostly that of the place before.
local stream_before, lane_before
local function read_place(place)
  local length, entry, claim = stream_before and #stream_before or 0, nil, nil
  if stream_before and string.sub(place, 1, length) == stream_before then
    entry, claim = match(place, '^ (%d+%-%d+) ?(%d*)$', length + 1)
  end
  if not entry then
    local family, lane
    family, lane, entry, claim = match(place, '^(%l+):(%S+) (%d+%-%d+) ?(%d*)$', #root + 2)
    if family ~= 'lane' and family ~= 'again' then return nil end
    stream_before, lane_before = key(family, lane), lane
  end
  return stream_before, lane_before, entry, claim
end

-- Ends a message that waits, wherever it does; false where there is none that waits.
local function cancel_waiting(id, now)
  local record = redis.pcall('HMGET', key('message', id), 'state', 'place', 'created', 'event')
  if record[1] ~= 'waiting' then return false end
  local stream, lane, entry
  if record[2] then stream, lane, entry = read_place(record[2]) end
  if stream then remove_entry(stream, lane, entry, false) else redis.call('ZREM', key('due'), id) end
  forget(id, now, log(id, 'CANCEL_REQUESTED', record[3], record[4] or record[3], '', '', now))
  if stream then touch(lane) end
  return true
end

-- Takes a message out of what a node holds; the node's share of the lane shrinks with it, at the call's end.
local dropped, given_back = {}, {}
local active_node, active_key
local function drop_held(node, id, lane)
  if node ~= active_node then active_node, active_key = node, key('active', node) end
  defer('HDEL', active_key, id)
  dropped[id] = true
  count('held', lane, -1)
  local of_node = given_back[node] or {}
  given_back[node] = of_node
  of_node[lane] = (of_node[lane] or 0) + 1
end
local function write_shares()
  if not next(given_back) then return end
  for node, of_node in pairs(given_back) do
    for lane, less in pairs(of_node) do
      if redis.call('HINCRBY', key('share', node), lane, text(-less)) <= 0 then redis.call('HDEL', key('share', node), lane) end
    end
  end
  given_back = {}
end

-- Gives a held message a new life in front of its lane, or its end where a cancel was asked for. Always a new
-- entry, so whoever held it before finds itself stale. Answers whether it was still held.
local function give_back(node, id, held, reclaimed, now)
  local stream, lane, entry = read_place(held)
  if not stream then
    redis.call('HDEL', key('active', node), id)
    set_aside('active ' .. node .. ' ' .. id .. ' ' .. held)
    return false
  end
  drop_held(node, id, lane)
  if not remove_entry(stream, lane, entry, true) then return false end
  local message = key('message', id)
  -- A key of another type has neither.
  local record = redis.pcall('HMGET', message, 'state', 'due')
  if record[1] == 'cancelling' then
    forget(id, now)
  elseif record[1] then
    local place, due = append_or_wait(again_stream(lane), lane, id, record[2] or text(now), now)
    redis.call('HSET', message, 'state', 'waiting', 'place', place, 'due', due)
    if reclaimed then redis.call('HINCRBY', message, 'reclaimed', 1) end
  else
    set_aside('give back ' .. id .. ': no record')
    give_up(id, lane, now)
  end
  return true
end

-- All a node holds but the ids named, oldest entry first, so that what goes back keeps its order.
local function held_by(node, but)
  local all, held = redis.call('HGETALL', key('active', node)), {}
  for i = 1, #all, 2 do
    if not (but and but[all[i]]) then held[#held + 1] = { id = all[i], place = all[i + 1], number = tonumber(string.match(all[i + 1], ' (%d+)%-')) or 0 } end
  end
  table.sort(held, function(a, b) return a.number < b.number end)
  return held
end

-- The earliest time anything waits for in ms, a message or a lane, or "" where nothing does.
local function next_due()
  local first = redis.call('ZRANGE', key('due'), 0, 0, 'WITHSCORES')[2]
  local lane = redis.call('ZRANGE', key('reopen'), 0, 0, 'WITHSCORES')[2]
  if first and lane then return text(math.min(tonumber(first), tonumber(lane))) end
  return first and text(tonumber(first)) or lane and text(tonumber(lane)) or ''
end

-- What every script that creates, moves or ends messages calls before it answers. Gates are looked at when all they stand on
-- is written.
local function finish(now)
  for _, part in ipairs({ delete_ended_entries, write_shares, write_deferred, tell_first_due }) do
    local fine, problem = pcall(part)
    if not fine then set_aside('at the end: ' .. problem_text(problem)) end
  end
  open_touched(now)
  write_counts()
  close_log()
end
