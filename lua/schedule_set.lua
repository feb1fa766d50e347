#!lua flags=allow-oom
-- schedule_set: pauses, resumes or removes a schedule. A run that races with it finds another revision and does nothing.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  id
--   ARGV[3]  "pause", "resume" or "remove"
--   ARGV[4]  resume: the revision the caller read
--   ARGV[5]  resume: the next run after now, ms
--   ARGV[6]  call: the same for every arrival of one request
--
--   returns  {"ok"}, also where it was so already; {"missing"}; {"changed"}: it is another by now, read it again
--            {"clock", last}
--   writes   schedule:<id> states:<id> schedules scheduled:<topic> sequence receipt:<call> clock; publishes wake

local now = clock()
if not now then return clock_refusal() end

if redis.call('EXISTS', key('receipt', ARGV[6])) == 1 then return { 'ok' } end

local id, what = ARGV[2], ARGV[3]
local schedule = key('schedule', id)
local record = redis.pcall('HMGET', schedule, 'revision', 'paused', 'topic')
-- What is no schedule can still be removed.
if record.err or not record[1] then
  if what == 'remove' then
    redis.call('DEL', schedule, key('states', id))
    redis.call('ZREM', key('schedules'), id)
  end
  return { 'missing' }
end

if what == 'remove' then
  if record[3] then redis.call('SREM', key('scheduled', record[3]), id) end
  redis.call('DEL', schedule, key('states', id))
  redis.call('ZREM', key('schedules'), id)
elseif what == 'pause' then
  if record[2] then return { 'ok' } end
  redis.call('HSET', schedule, 'paused', '1', 'revision', text(redis.call('INCR', key('sequence'))))
  plan_run(id, nil)
else
  if not record[2] then return { 'ok' } end
  if record[1] ~= ARGV[4] then return { 'changed' } end
  redis.call('HDEL', schedule, 'paused')
  redis.call('HSET', schedule, 'next', ARGV[5], 'revision', text(redis.call('INCR', key('sequence'))))
  plan_run(id, ARGV[5])
end
redis.call('SET', key('receipt', ARGV[6]), 'ok', 'PX', 120000)
return { 'ok' }
