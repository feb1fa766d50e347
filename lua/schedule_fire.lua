#!lua
-- schedule_fire: publishes the messages of due schedules and plans their next runs. Each schedule is one item: all of it
-- happens, or nothing, and only if the schedule is still what the caller read, so every tick is fired once.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  number of items; then for each
--              id, revision, due   the schedule as it was read; due in ms
--              next        run after this one, ms, or "" where there is none
--              missed      runs that passed while nobody looked, of which this one stands for all
--              error       "" or why nothing is published this time
--              topic       and
--              revision    of it, where the fan-out was made from one, or ""
--              body        bytes
--              shared      SHA-256 of the body in hex where it is stored once for all messages, or ""
--              logged      how many bytes of the body go to the log
--              messages    their number; then for each message
--                id, lane, due (ms), request (JSON text), gate (see `create` in the prelude)
--
--   returns  {"ok", status of each item ...}: "fired"; "changed": it is another by now, or another node was first;
--            "topic": the topic has changed or is gone, read it again
--            {"clock", last}
--   writes   schedule:<id> states:<id> schedules, and what publish writes; publishes wake
--
-- Sent again after a lost reply it finds another due time and answers "changed".

local now = clock()
if not now then return clock_refusal() end

local answer, at = { 'ok' }, 3
local function fire()
  local id, revision, due, next_run, missed, problem = unpack(ARGV, at, at + 5)
  local topic, topic_revision, body, shared, logged, count = unpack(ARGV, at + 6, at + 11)
  local content = { text = body, shared = shared, logged = tonumber(logged) }
  local first = at + 12
  at = first + 5 * tonumber(count)
  local schedule = key('schedule', id)
  local record = redis.call('HMGET', schedule, 'revision', 'next', 'paused')
  if record[1] ~= revision or record[2] ~= due or record[3] then return 'changed' end
  if topic ~= '' and redis.call('HGET', key('topic', topic), 'revision') ~= topic_revision then return 'topic' end
  if tonumber(count) > 0 then
    redis.call('DEL', key('states', id))
    for m = first, at - 1, 5 do
      local message, lane, time, request, gate = unpack(ARGV, m, m + 4)
      create(message, lane, time, request, gate, content, now)
      redis.call('HSET', key('message', message), 'schedule', id)
      redis.call('HSET', key('states', id), message, 'IN_PROGRESS')
    end
    redis.call('HSET', schedule, 'last', text(now))
  end
  if problem == '' then redis.call('HDEL', schedule, 'error') else redis.call('HSET', schedule, 'error', problem) end
  if missed ~= '0' then redis.call('HINCRBY', schedule, 'missed', missed) end
  if next_run ~= '' then redis.call('HSET', schedule, 'next', next_run) else redis.call('HDEL', schedule, 'next') end
  plan_run(id, next_run ~= '' and next_run)
  return 'fired'
end

local fine, status = true, nil
for _ = 1, tonumber(ARGV[2]) do
  fine, status = pcall(fire)
  if not fine then break end
  answer[#answer + 1] = status
end
finish(now)
if not fine then return redis.error_reply(problem_text(status)) end
return answer
