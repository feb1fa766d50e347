-- lane: one lane, what waits in it and who holds the rest.
--
--   redis-cli --eval lua/inspect/lane.lua 'roost:{0}' , host:example.com
--
-- Read only.

local root, lane = KEYS[1], ARGV[1]
if not lane then return redis.error_reply("give a lane: … 'roost:{0}' , host:example.com") end
local page = {}
local function line(...) page[#page + 1] = string.format(...) end
local function key(name) return root .. ':' .. name end

local turn, reopen = redis.call('ZSCORE', key('open'), lane), redis.call('ZSCORE', key('reopen'), lane)
line('lane       %s, %s%s', lane, turn and string.format('in the ring at turn %.0f', tonumber(turn)) or 'not in the ring',
  reopen and string.format(', opens at %.0f', tonumber(reopen)) or '')

local g = redis.call('HMGET', key('gate:' .. lane), 'paused', 'parallelism', 'rate', 'period', 'windowStart', 'windowCount',
  'messages', 'deletedTo')
if string.match(lane, '^queue:') or string.match(lane, '^flow:') then
  line('gate       %s, %d of %s slots held, %s messages', g[1] == '1' and 'paused' or g[8] and 'being deleted' or 'not paused',
    redis.call('SCARD', key('held:' .. lane)), g[2] or (string.match(lane, '^queue:') and '1' or 'any number of'), g[7] or '0')
  if g[3] then
    line('rate       %s of %s starts in the window of %s s since %s', g[6] or '0', g[3], g[4] or '1', g[5] or 'never')
  end
end

for _, family in ipairs({ 'again', 'lane' }) do
  local stream = key(family .. ':' .. lane)
  local length = redis.call('XLEN', stream)
  if length > 0 then
    local group = redis.call('XINFO', 'GROUPS', stream)[1]
    line('%-10s %d waiting, %d in flight', family, length - group[6], group[6])
    local head = redis.call('XRANGE', stream, '(' .. group[8], '+', 'COUNT', 1)[1]
    if head then
      line('  head     %s, due %s, entry %s', head[2][2], head[2][4], head[1])
      local request = redis.call('HGET', key('message:' .. head[2][2]), 'request')
      if request then line('           %s', string.sub(request, 1, 200)) end
    end
  end
end

for _, node in ipairs(redis.call('ZRANGE', key('nodes'), 0, 99)) do
  local held = redis.call('HGET', key('share:' .. node), lane)
  if held then line('held       %s by %s', held, node) end
end
return page
