#!lua flags=allow-oom
-- measure: the figures that only Redis knows, for metrics. Changes nothing that matters.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  lanes of the ring to add up at most
--
--   returns  {"ok", live, due, oldest, dead, open, waiting host, topic, queue, flow}: live messages, those among `due`,
--            the earliest due time in ms or "", dead letters, lanes in the ring, and what waits in them by lane kind
--            {"clock", last}
--   writes   clock

local now = clock()
if not now then return clock_refusal() end

local count = { host = 0, topic = 0, queue = 0, flow = 0 }
for _, lane in ipairs(redis.call('ZRANGE', key('open'), 0, tonumber(ARGV[2]) - 1)) do
  local kind = string.match(lane, '^%l+')
  if count[kind] then
    count[kind] = count[kind] + waiting(lane_stream(lane)) + waiting(again_stream(lane))
  end
end
return {
  'ok', redis.call('ZCARD', key('messages')), redis.call('ZCARD', key('due')), next_due(),
  redis.call('ZCARD', key('dead')), redis.call('ZCARD', key('open')), count.host, count.topic, count.queue, count.flow,
}
