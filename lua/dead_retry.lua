#!lua
-- dead_retry: makes new messages of dead letters; the record goes over whole, body and all, in the same step.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  "all": where one of the items is gone, nothing is done; "" skips those that are
--   ARGV[3]  bytes of bodies at most (the first goes however large it is)
--   ARGV[4]  queues at most, 0 for any number
--   ARGV[5]  number of items; then for each
--              dlqId
--              id, lane, due (ms), request (JSON text), gate (see `create` in the prelude): the message it becomes
--              logged      how many bytes of the body go to the log
--
--   returns  {"ok", status of each item ...}: "stored" (also where an earlier arrival of this call did it), "gone", or
--            "queues" (it would make a queue, and there are as many as may be: it stays);
--            fewer than were asked for where the bytes were used up: call again with the others
--            {"gone", dlqId}: nothing was done
--            {"clock", last}
--   writes   dead dead:<dlqId> and what publish writes; publishes wake
--
-- Sent again it finds the messages it made, living or ended. Two calls for one dead letter make one message of it.

local now = clock()
if not now then return clock_refusal() end

local function item(number) return unpack(ARGV, 6 + 7 * number, 12 + 7 * number) end

local most_queues, count = tonumber(ARGV[4]), tonumber(ARGV[5])
if ARGV[2] == 'all' then
  for number = 0, count - 1 do
    local dlq_id, id = item(number)
    if not redis.call('ZSCORE', key('dead'), dlq_id) and not is_known(id) then return { 'gone', dlq_id } end
  end
end

local answer, bytes = { 'ok' }, 0
local function retry(dlq_id, id, lane, due, request, gate, logged)
  local queue = string.match(gate, '^([^/ ]+) ')
  if is_known(id) then
    answer[#answer + 1] = 'stored'
  elseif queue and is_queue_too_many(queue, most_queues) then
    answer[#answer + 1] = 'queues'
  elseif redis.call('EXISTS', key('dead', dlq_id)) == 0 or redis.call('ZREM', key('dead'), dlq_id) == 0 then
    answer[#answer + 1] = 'gone'
  else
    local message = key('message', id)
    redis.call('RENAME', key('dead', dlq_id), message)
    redis.call('HDEL', message, 'message', 'status', 'error', 'responseHeader', 'responseBody', 'retried', 'request')
    local r = redis.call('HMGET', message, 'body', 'shared')
    local body = r[1] or r[2] and redis.call('HGET', key('body', r[2]), 'text') or ''
    bytes = bytes + #body
    create(id, lane, due, request, gate, { kept = body, logged = tonumber(logged) }, now)
    answer[#answer + 1] = 'stored'
  end
end

local fine, problem = true, nil
for number = 0, count - 1 do
  if bytes > tonumber(ARGV[3]) then break end
  fine, problem = pcall(retry, item(number))
  if not fine then break end
end
finish(now)
if not fine then return redis.error_reply(problem_text(problem)) end
return answer
