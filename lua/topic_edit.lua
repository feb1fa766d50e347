#!lua
-- topic_edit: replaces or removes a topic, if it still is what the caller read. What to write is decided outside.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  call: the same for every arrival of one request
--   ARGV[3]  name
--   ARGV[4]  revision the caller read, "" where there was no such topic
--   ARGV[5]  endpoints (JSON text), "" to remove the topic
--   ARGV[6]  default headers (JSON text), "" for none
--   ARGV[7]  created at, ms
--   ARGV[8]  topics at most, 0 for any number
--
--   returns  {"ok", revision}; the same answer when the call arrives again
--            {"changed"}: the topic is another by now: read it and decide again
--            {"used", id}: it can't be removed while that schedule publishes to it
--            {"full"}: it would be a new one, and there are as many as may be
--            {"clock", last}
--   writes   topic:<name> topics sequence receipt:<call> clock

local now = clock()
if not now then return clock_refusal() end

local receipt = redis.call('GET', key('receipt', ARGV[2]))
if receipt then return { 'ok', receipt } end

local name = ARGV[3]
local topic = key('topic', name)
if (redis.call('HGET', topic, 'revision') or '') ~= ARGV[4] then return { 'changed' } end

if ARGV[5] == '' then
  local user = redis.call('SRANDMEMBER', key('scheduled', name))
  if user then return { 'used', user } end
end

local most = tonumber(ARGV[8])
if ARGV[4] == '' and most > 0 and redis.call('SCARD', key('topics')) >= most then return { 'full' } end

local revision = text(redis.call('INCR', key('sequence')))
redis.call('DEL', topic)
if ARGV[5] == '' then
  redis.call('SREM', key('topics'), name)
else
  redis.call('HSET', topic, 'endpoints', ARGV[5], 'createdAt', ARGV[7], 'updatedAt', text(now), 'revision', revision)
  if ARGV[6] ~= '' then redis.call('HSET', topic, 'headers', ARGV[6]) end
  redis.call('SADD', key('topics'), name)
end
redis.call('SET', key('receipt', ARGV[2]), revision, 'PX', 120000)
return { 'ok', revision }
