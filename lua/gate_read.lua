#!lua flags=allow-oom
-- gate_read: the settings and exact counts of queues and flow keys, all of one moment. Changes nothing.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2…] lanes: queue:<name> or flow:<key>
--
--   returns  {"ok", gate ...}, "" for a lane of which nothing is known, else
--              {name, paused, parallelism, rate, period, pinned parallelism, pinned rate, window start (ms, 0 never),
--               starts in the window, slots held, waiting in the lane, messages not ended, createdAt, updatedAt, used}
--            {"clock", last}
--   writes   clock

local now = clock()
if not now then return clock_refusal() end

local function read(lane, short)
  local g = redis.call('HMGET', key('gate', lane), 'name', 'paused', 'parallelism', 'rate', 'period', 'pinnedParallelism',
    'pinnedRate', 'windowStart', 'messages', 'createdAt', 'updatedAt', 'used')
  local gate = read_gate(lane, now)
  return {
    g[1] or short, g[2] or '', g[3] or '', g[4] or '', g[5] or '', g[6] or '', g[7] or '', g[8] or '0',
    gate.count, redis.call('SCARD', key('held', lane)),
    waiting(lane_stream(lane)) + waiting(again_stream(lane)),
    g[9] or '0', g[10] or '0', g[11] or g[10] or '0', g[12] or '0',
  }
end

-- One that can't be read hides itself and not the others.
local answer = { 'ok' }
for i = 2, #ARGV do
  local short = string.match(ARGV[i], ':(.*)$')
  answer[i] = ''
  if redis.call('SISMEMBER', key(is_queue(ARGV[i]) and 'queues' or 'flows'), short) == 1 then
    local fine, gate = pcall(read, ARGV[i], short)
    if fine then answer[i] = gate end
  end
end
return answer
