#!lua flags=allow-oom
-- settle: ends attempts. For each: acknowledge, free the slot, apply the next step, create the callback messages.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  node
--   ARGV[3]  how long a delivered message stays readable, ms
--   ARGV[4]  bytes of delivered messages that stay readable at most
--   ARGV[5]  how long the ids of ended messages stay known, ms
--   ARGV[6]  number of attempts; then for each
--              id
--              place       as the claim answered it
--              step        "delivered", "retry" or "dead"; or "plain": delivered, without callbacks, whatever was asked
--                          for, and then only `size` follows
--              cancelled   what to do where a cancel was asked for: "decided" (the step, with its callbacks) or
--                          "canceled" (end it, no callback, no dead letter)
--              value       delivered: its size in bytes; retry: due time in ms; dead: the dlqId
--              status      of the response, 0 without one
--              headers     of the response, JSON text
--              response    its body, bytes
--              error       "" or what went wrong, for people
--              detail      the answer for the log, JSON text, "" where the attempt succeeded
--              logged      how many bytes of the response go to the log
--              callbacks   their number; then for each
--                id, lane, due (ms), request (JSON text), gate (see `create` in the prelude), body, logged (how many
--                bytes of it go to the log)
--
--   returns  {"ok", result ...}: "delivered", "retry", "dead", "canceled", or "stale": the attempt is no longer
--            the caller's (its lease ended, or this call arrived before), and nothing was written for it; "broken":
--            what stands in Redis can't be used, which is noted in `aside`
--            {"clock", last}
--   writes   lane:<lane> again:<lane> active:<node> share:<node> message:<id> messages due open reopen dead
--            dead:<dlqId> states:<id> gate:<lane> held:<lane> waits:<id> queues flows
--            finished ended counts body:<hash> log log:<n> history:<n> aside sequence idle clock; publishes wake
--
-- The acknowledgement is the fence: XACK is the first write for each attempt, and without it there is no other.

local now = clock()
if not now then return clock_refusal() end

local node, keep_ms, keep_bytes = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

-- Delivered messages are still readable for a moment; the oldest go by time and bytes, a few in each call.
local function shed_finished()
  local counts, finished, most = key('counts'), key('finished'), 2 * tonumber(ARGV[6]) + 10
  local total = tonumber(redis.call('HGET', counts, 'finishedBytes') or '0')
  if total <= keep_bytes then most = math.min(most, redis.call('ZCOUNT', finished, '-inf', text(now - keep_ms))) end
  local oldest = most > 0 and redis.call('ZRANGE', finished, 0, most - 1, 'WITHSCORES') or {}
  local shed, keys = 0, {}
  for i = 1, #oldest, 2 do
    local id, time = oldest[i], tonumber(oldest[i + 1])
    if time > now - keep_ms and total - shed <= keep_bytes then break end
    local record = redis.pcall('HMGET', key('message', id), 'size', 'shared')
    release_body(record[2])
    shed = shed + tonumber(record[1] or '0')
    keys[#keys + 1] = key('message', id)
    remember_ended(id, time)
  end
  if #keys > 0 then
    redis.call('DEL', unpack(keys))
    redis.call('ZREMRANGEBYRANK', finished, 0, #keys - 1)
    redis.call('HINCRBY', counts, 'finishedBytes', -shed)
    write_deferred()
  end
  shed_ended(now - tonumber(ARGV[5]))
end

local delivered_bytes = 0
local key, text = key, text
local function count_delivered()
  if delivered_bytes > 0 then redis.call('HINCRBY', key('counts'), 'finishedBytes', delivered_bytes) end
end
local function finish_delivered(id, message, size)
  redis.call('HSET', message, 'state', 'delivered', 'size', size)
  defer('ZREM', key('messages'), id)
  defer('ZADD', key('finished'), text(now), id)
  delivered_bytes = delivered_bytes + tonumber(size)
end

-- What an attempt's end must know of its message: {state, created, event, schedule, source, queue, flow, sourceQueue}, nil or
-- false for what it has not; created and event are the refs of its first and last event in the log. In a lane without a
-- gate no message has a queue or a flow key, and few are a queue's callbacks: a field that is asked for costs as much when it
-- is not there. A key of another type has none.
local function fetch(message, lane)
  if is_gated(lane) then
    return redis.pcall('HMGET', message, 'state', 'created', 'event', 'schedule', 'source', 'queue', 'flow', 'sourceQueue')
  end
  local r = redis.pcall('HMGET', message, 'state', 'created', 'event', 'schedule', 'source')
  if r[5] then r[8] = redis.call('HGET', message, 'sourceQueue') end
  return r
end

local function note(id, r, state, detail, body)
  r[3] = log(id, state, r[2], r[3] or r[2], detail, body, now)
  return r[3]
end

local function retry(id, message, r, lane, at, error)
  local queue, flow = r[6], r[7]
  redis.call('HINCRBY', message, 'retried', 1)
  redis.call('HDEL', message, 'reclaimed')
  local place, due = 'due', at
  if tonumber(at) > now then wait_for_time(id, at) else place, due = enter(id, lane, queue, flow, at, now) end
  local fields = { 'state', 'waiting', 'due', due, 'error', error, 'place', place }
  local ref = note(id, r, 'RETRY', '{"next":' .. at .. '}', '')
  if ref then fields[9], fields[10] = 'event', ref end
  redis.call('HSET', message, unpack(fields))
  free_flow(id, flow)
end

-- The record becomes the dead letter: one rename, body and all.
local function bury(id, dlq_id, status, headers, response, error)
  local dead = key('dead', dlq_id)
  redis.call('RENAME', key('message', id), dead)
  redis.call('HDEL', dead, 'state', 'place', 'lane', 'due', 'reclaimed', 'source', 'sourceQueue', 'created', 'event')
  redis.call('HSET', dead, 'message', id, 'status', status, 'error', error)
  if status ~= '0' then redis.call('HSET', dead, 'responseHeader', headers) end
  if response ~= '' then redis.call('HSET', dead, 'responseBody', response) end
  redis.call('ZADD', key('dead'), string.match(dlq_id, '^%d+'), dlq_id)
  defer('ZREM', key('messages'), id)
  remember_ended(id, now)
end

-- What this node holds of the messages named, in their order.
local function held_of_all()
  local ids, at = {}, 7
  for number = 1, tonumber(ARGV[6]) do
    ids[number] = ARGV[at]
    at = at + (ARGV[at + 2] == 'plain' and 4 or 12 + 7 * tonumber(ARGV[at + 11]))
  end
  return #ids > 0 and redis.call('HMGET', key('active', node), unpack(ids)) or {}
end
local holds = held_of_all()

local answer, at = { 'ok' }, 7
local function settle(number)
  local id, held, step, if_cancelled, value = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local status, headers, response, error, detail, logged
  local callbacks, first = 0, at + 4
  if step == 'plain' then
    step, if_cancelled, value, detail = 'delivered', 'decided', ARGV[at + 3], ''
  else
    status, headers, response, error, detail, logged = unpack(ARGV, at + 5, at + 10)
    callbacks, first = tonumber(ARGV[at + 11]), at + 12
  end
  at = first + 7 * callbacks
  local stream, lane, entry = read_place(held)
  if stream and holds[number] == held and end_entry(stream, lane, entry) then
    drop_held(node, id, lane)
    local message = key('message', id)
    local r = fetch(message, lane)
    local state, schedule = r[1], r[4]
    if state and detail ~= '' then
      local plan = step == 'retry' and state ~= 'cancelling' and string.sub(detail, 1, -2) .. ',"next":' .. value .. '}'
      note(id, r, 'ERROR', plan or detail, string.sub(response, 1, tonumber(logged)))
    end
    if not state then
      set_aside('settle ' .. id .. ': no record')
      give_up(id, lane, now)
      step = 'stale'
    elseif state == 'cancelling' and if_cancelled == 'canceled' then
      forget(id, now, r[3])
      step = 'canceled'
    else
      if step == 'delivered' then
        note_end(schedule, id, 'SUCCESS')
        finish_delivered(id, message, value)
        log_end(id, note(id, r, 'DELIVERED', '', ''))
      elseif step == 'retry' then
        retry(id, message, r, lane, value, error)
      else
        note_end(schedule, id, 'FAIL')
        log_end(id, note(id, r, 'FAILED', '', ''))
        bury(id, value, status, headers, response, error)
      end
      for c = 0, callbacks - 1 do
        local callback, to, due, request, gate, body, body_logged = unpack(ARGV, first + 7 * c, first + 7 * c + 6)
        create(callback, to, due, request, gate, { text = body, shared = '', logged = tonumber(body_logged) }, now)
        if r[6] then
          redis.call('HSET', key('message', callback), 'source', id, 'sourceQueue', r[6])
          redis.call('SADD', key('waits', id), callback)
        end
      end
      if step ~= 'retry' then leave(id, r[6], r[7], r[5], r[8]) end
    end
    if is_gated(lane) then touch(lane) end
    answer[#answer + 1] = step
  else
    answer[#answer + 1] = 'stale'
  end
end

-- What broke halfway is in no stream any more: it becomes a dead letter that says why.
local function rescue(id, why)
  local r = redis.call('HMGET', key('message', id), 'queue', 'flow', 'source', 'sourceQueue', 'state', 'created', 'event')
  if not r[5] or r[5] == 'waiting' or not dropped[id] then return end
  why = 'unusable record: ' .. why
  log_end(id, log(id, 'FAILED', r[6], r[7] or r[6], cjson.encode({ error = why, status = 0 }), '', now))
  bury(id, text(now) .. '-' .. text(next_number()), '0', '', '', why)
  leave(id, unpack(r, 1, 4))
end

for number = 1, tonumber(ARGV[6]) do
  local id = ARGV[at]
  local fine, problem = pcall(settle, number)
  if not fine then
    set_aside('settle ' .. id .. ': ' .. problem_text(problem))
    pcall(rescue, id, problem_text(problem))
    answer[number + 1] = 'broken'
  end
end
finish(now)
-- What is decided and written stands, whatever is wrong with what is kept of others.
for _, part in ipairs({ count_delivered, shed_finished }) do
  local fine, problem = pcall(part)
  if not fine then set_aside('settle, at the end: ' .. problem_text(problem)) end
end
return answer
