#!lua
-- schedule_put: creates a schedule or replaces all of one; a paused one stays paused, and its last run stays known.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  call: the same for every arrival of one request
--   ARGV[3]  id
--   ARGV[4]  cron, as given
--   ARGV[5]  next run, ms
--   ARGV[6]  topic it publishes to, or "" for a URL
--   ARGV[7]  delay of each run, seconds, or ""
--   ARGV[8]  request (JSON text), what each message of a run is made from
--   ARGV[9]  body, bytes
--   ARGV[10] dedup: the hash its deduplication id is kept under, or ""
--   ARGV[11] how long that stays taken, ms
--   ARGV[12] schedules at most, 0 for any number
--   ARGV[13] queue its messages join, or ""
--   ARGV[14] queues at most, 0 for any number
--
--   returns  {"ok", revision}; the same answer when the call arrives again
--            {"duplicate", id}: it repeats the creation of that one, nothing is stored
--            {"full"}: it would be a new one, and there are as many as may be
--            {"queues"}: its queue would be a new one, and there are as many as may be
--            {"topic"}: the topic does not exist; nothing is stored
--            {"clock", last}
--   writes   schedule:<id> schedules scheduled:<topic> dedup:<hash> sequence receipt:<call> clock; publishes wake

local now = clock()
if not now then return clock_refusal() end

local receipt = redis.call('GET', key('receipt', ARGV[2]))
if receipt then return { 'ok', receipt } end

local id, next_run, topic = ARGV[3], ARGV[5], ARGV[6]
if topic ~= '' and redis.call('EXISTS', key('topic', topic)) == 0 then return { 'topic' } end

local schedule, dedup = key('schedule', id), ARGV[10]
if dedup ~= '' then
  local original = taken(dedup, tonumber(ARGV[11]), now)
  if original then return { 'duplicate', original } end
end
local most = tonumber(ARGV[12])
if most > 0 and redis.call('EXISTS', schedule) == 0 and redis.call('ZCARD', key('schedules')) >= most then return { 'full' } end
if ARGV[13] ~= '' and is_queue_too_many(ARGV[13], tonumber(ARGV[14])) then return { 'queues' } end

local old = redis.pcall('HMGET', schedule, 'topic', 'paused')
if old.err then
  redis.call('DEL', schedule)
  old = {}
end
if old[1] then redis.call('SREM', key('scheduled', old[1]), id) end

local revision = text(redis.call('INCR', key('sequence')))
redis.call('HDEL', schedule, 'topic', 'delay', 'body', 'error')
redis.call('HSET', schedule, 'cron', ARGV[4], 'next', next_run, 'createdAt', text(now), 'revision', revision, 'request', ARGV[8])
if topic ~= '' then
  redis.call('HSET', schedule, 'topic', topic)
  redis.call('SADD', key('scheduled', topic), id)
end
if ARGV[7] ~= '' then redis.call('HSET', schedule, 'delay', ARGV[7]) end
if ARGV[9] ~= '' then redis.call('HSET', schedule, 'body', ARGV[9]) end
plan_run(id, not old[2] and next_run)
if dedup ~= '' then take(dedup, id, tonumber(ARGV[11]), now) end
redis.call('SET', key('receipt', ARGV[2]), revision, 'PX', 120000)
return { 'ok', revision }
