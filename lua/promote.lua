#!lua flags=allow-oom
-- promote: moves messages whose time has come from `due` into their lanes, oldest time first, equal times by id, and
-- opens lanes that waited for time only: for the end of a rate window, for the time of a queue's head.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  how many at most
--
--   returns  {"ok", moved, next}: next is the earliest remaining time in ms (it may have come already), or ""
--            {"clock", last}
--   writes   due reopen messages lane:<lane> again:<lane> message:<id> open sequence counts idle clock aside; publishes wake
--
-- Sent again it moves the next ones, which is as good.

local now = clock()
if not now then return clock_refusal() end

local ids = redis.call('ZRANGE', key('due'), '-inf', text(now), 'BYSCORE', 'LIMIT', 0, tonumber(ARGV[2]))
numbers_wanted = math.max(1, #ids)
for _, id in ipairs(ids) do
  local message = key('message', id)
  local r = redis.pcall('HMGET', message, 'lane', 'due', 'queue', 'flow')
  if r[1] and r[2] then
    local place, due = enter(id, r[1], r[3], r[4], r[2], now)
    if place == 'due' then
      redis.call('HSET', message, 'due', due)
    else
      defer('ZREM', key('due'), id)
      redis.call('HSET', message, 'place', place)
    end
  else
    defer('ZREM', key('due'), id)
    set_aside('due ' .. id .. ': no readable record')
    if redis.call('TYPE', message).ok ~= 'hash' then redis.call('ZREM', key('messages'), id) end
  end
end
local lanes = redis.call('ZRANGE', key('reopen'), '-inf', text(now), 'BYSCORE', 'LIMIT', 0, tonumber(ARGV[2]))
for _, lane in ipairs(lanes) do
  redis.call('ZREM', key('reopen'), lane)
  touch(lane)
end
finish(now)
return { 'ok', #ids + #lanes, next_due() }
