#!lua flags=allow-oom
-- promote: moves messages whose time has come from `due` into their lanes, oldest time first, equal times by id.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  how many at most
--
--   returns  {"ok", moved, next}: next is the earliest remaining time in ms (it may have come already), or ""
--            {"clock", last}
--   writes   due lane:<lane> message:<id> open sequence idle clock aside; publishes wake
--
-- Sent again it moves the next ones, which is as good.

local now = clock()
if not now then return clock_refusal() end

local ids = redis.call('ZRANGE', key('due'), '-inf', text(now), 'BYSCORE', 'LIMIT', 0, tonumber(ARGV[2]))
for _, id in ipairs(ids) do
  redis.call('ZREM', key('due'), id)
  local message = key('message', id)
  local record = redis.call('HMGET', message, 'lane', 'due')
  if record[1] and record[2] then
    redis.call('HSET', message, 'place', append(lane_stream(record[1]), record[1], id, record[2]))
  else
    set_aside('due ' .. id .. ': no record')
  end
end
return { 'ok', #ids, next_due() }
