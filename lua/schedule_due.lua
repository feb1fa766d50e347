#!lua flags=allow-oom
-- schedule_due: reads the schedules whose time has come, the earliest first. Changes nothing but what is damaged.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  how many at most
--   ARGV[3]  bytes at most (the first goes however large it is)
--
--   returns  {"ok", next, schedule ...}: next is the time of the first that is not in the answer, ms or "";
--            a schedule being {id, revision, next, cron, delay, topic, request, body}, "" for what is not set
--            {"clock", last}
--   writes   clock; schedules, schedule:<id> and aside where a record is missing or damaged

local now = clock()
if not now then return clock_refusal() end

local most, bytes = tonumber(ARGV[2]), 0
local answer = { 'ok', '' }
local due = redis.call('ZRANGE', key('schedules'), '-inf', '+inf', 'BYSCORE', 'LIMIT', 0, most + 1, 'WITHSCORES')
for i = 1, #due, 2 do
  local id, time = due[i], tonumber(due[i + 1])
  if time == math.huge then break end
  if time > now or #answer - 2 >= most or bytes > tonumber(ARGV[3]) then
    answer[2] = text(time)
    break
  end
  local r = redis.pcall('HMGET', key('schedule', id), 'revision', 'next', 'cron', 'delay', 'topic', 'request', 'body')
  if r.err then
    -- No hash at all: it never runs again, and the others do.
    redis.call('ZADD', key('schedules'), '+inf', id)
    set_aside('schedules ' .. id .. ': ' .. r.err)
  elseif r[1] then
    if not r[2] then
      r[2] = text(time)
      redis.call('HSET', key('schedule', id), 'next', r[2])
    end
    local schedule = { id }
    for n = 1, 7 do
      schedule[n + 1] = r[n] or ''
      bytes = bytes + #(r[n] or '')
    end
    answer[#answer + 1] = schedule
  else
    redis.call('ZREM', key('schedules'), id)
    set_aside('schedules ' .. id .. ': no record')
  end
end
-- More may stand behind those that had no record.
if answer[2] == '' and #due == 2 * (most + 1) and tonumber(due[#due]) <= now then answer[2] = text(now) end
return answer
