#!lua flags=allow-oom
-- measure: the figures that only Redis knows, for metrics. Changes nothing that matters.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2…] lane kinds
--
--   returns  {"ok", live, due, oldest, dead, open, log, events, shed, aside, nodes, then for each kind: waiting, held}: live messages,
--            those among `due`, the earliest time anything waits for in ms or "", dead letters, lanes in the ring, bytes
--            of the log, events ever written and those that went before their time, records set aside, nodes whose lease has
--            not ended; what stands in the lanes of the kind
--            and nobody holds, and what nodes hold of it
--            {"clock", last}
--   writes   clock

local now = clock()
if not now then return clock_refusal() end

local answer = {
  'ok', redis.call('ZCARD', key('messages')), redis.call('ZCARD', key('due')), next_due(), redis.call('ZCARD', key('dead')),
  redis.call('ZCARD', key('open')),
}
open_log()
local l = redis.call('HMGET', key('log'), 'bytes', 'shed')
answer[7], answer[8], answer[9] = tonumber(l[1] or '0') + events.size, events.number, tonumber(l[2] or '0')
answer[10], answer[11] = redis.call('LLEN', key('aside')), redis.call('ZCOUNT', key('nodes'), text(now), '+inf')
for i = 2, #ARGV do
  local c = redis.call('HMGET', key('counts'), 'entries:' .. ARGV[i], 'held:' .. ARGV[i])
  local held = tonumber(c[2] or '0')
  answer[#answer + 1] = tonumber(c[1] or '0') - held
  answer[#answer + 1] = held
end
return answer
