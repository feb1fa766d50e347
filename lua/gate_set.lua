#!lua flags=allow-oom
-- gate_set: changes the limits of a queue or a flow key, live: what waits already is reached at once.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  lane: queue:<name> or flow:<key>
--   ARGV[3]  what, with what follows it:
--              put        parallelism and paused ("1" or "0"), each "" to leave it; makes a queue, if there are
--                         fewer than so many (0: any number)
--              pause      and resume: without effect where it is so already
--              pin        parallelism and rate, each "" to leave it, and period (s); starts the rate's count anew
--              unpin      "1" for parallelism, "1" for rate: the values stay until a message brings others
--              resetRate  the count is 0 and the period begins now
--              reset      that, and no start is counted as in flight any more
--   ARGV[7]  name of the flow key: pause and pin make one that is unknown
--   ARGV[8]  call: the same for every arrival of one request
--
--   returns  {"ok"}; {"missing"}: no such queue, or nothing is known of the key; {"full"}: as many queues as may be
--            {"clock", last}
--   writes   gate:<lane> held:<lane> queues flows open reopen receipt:<call> sequence idle clock; publishes wake

local now = clock()
if not now then return clock_refusal() end

if redis.call('EXISTS', key('receipt', ARGV[8])) == 1 then return { 'ok' } end

local lane, what, name = ARGV[2], ARGV[3], ARGV[7]
local gate = key('gate', lane)
local short = string.match(lane, ':(.*)$')
local changed = true
local known = redis.call('SISMEMBER', key(is_queue(lane) and 'queues' or 'flows'), short) == 1

if what == 'put' then
  local most = tonumber(ARGV[6]) or 0
  if is_queue_too_many(short, most) then return { 'full' } end
  make_queue(short, now)
  if ARGV[4] ~= '' then redis.call('HSET', gate, 'parallelism', ARGV[4]) end
  if ARGV[5] == '1' then redis.call('HSET', gate, 'paused', '1') end
  if ARGV[5] == '0' then redis.call('HDEL', gate, 'paused') end
elseif not known and (is_queue(lane) or (what ~= 'pause' and what ~= 'pin')) then
  return { 'missing' }
elseif what == 'pause' then
  changed = redis.call('HSET', gate, 'paused', '1') == 1
elseif what == 'resume' then
  changed = redis.call('HDEL', gate, 'paused') == 1
elseif what == 'pin' then
  if ARGV[4] ~= '' then redis.call('HSET', gate, 'parallelism', ARGV[4], 'pinnedParallelism', '1') end
  if ARGV[5] ~= '' then redis.call('HSET', gate, 'rate', ARGV[5], 'period', ARGV[6], 'pinnedRate', '1') end
  -- A key that never counted a start has no period to begin anew.
  if ARGV[5] ~= '' or redis.call('HEXISTS', gate, 'windowStart') == 1 then
    redis.call('HSET', gate, 'windowStart', text(now), 'windowCount', 0)
  end
elseif what == 'unpin' then
  if ARGV[4] == '1' then redis.call('HDEL', gate, 'pinnedParallelism') end
  if ARGV[5] == '1' then redis.call('HDEL', gate, 'pinnedRate') end
elseif what == 'resetRate' or what == 'reset' then
  redis.call('HSET', gate, 'windowStart', text(now), 'windowCount', 0)
  if what == 'reset' then redis.call('DEL', key('held', lane)) end
end
if is_queue(lane) then
  if changed then redis.call('HSET', gate, 'updatedAt', text(now)) end
else
  redis.call('SADD', key('flows'), short)
  redis.call('HSET', gate, 'name', name, 'used', text(now))
end
open_gate(lane, now)
redis.call('SET', key('receipt', ARGV[8]), 'ok', 'PX', 120000)
return { 'ok' }
