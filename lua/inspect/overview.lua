-- overview: the whole state on one page.
--
--   redis-cli --eval lua/inspect/overview.lua 'roost:{0}' [, LANES]
--
-- Read only. LANES: how many lanes of the ring to list, by turn (default 10).

local root, most = KEYS[1], tonumber(ARGV[1] or '10')
local page = {}
local function line(...) page[#page + 1] = string.format(...) end
local function key(name) return root .. ':' .. name end

local function stream(name)
  local length = redis.call('XLEN', name)
  if length == 0 then return 0, 0 end
  local pending = redis.call('XINFO', 'GROUPS', name)[1][6]
  return length - pending, pending
end

line('messages   %d live', redis.call('ZCARD', key('messages')))
local first = redis.call('ZRANGE', key('due'), 0, 0, 'WITHSCORES')
line('due        %d wait for their time%s', redis.call('ZCARD', key('due')),
  first[1] and string.format(', next %s at %.0f', first[1], tonumber(first[2])) or '')
line('delivered  %d still readable', redis.call('ZCARD', key('finished')))
line('dead       %d dead letters', redis.call('ZCARD', key('dead')))
local l = redis.call('HMGET', key('log'), 'head', 'bytes', 'first', 'shed')
local segment, events, size = string.match(l[1] or '1 0 0 1 0 0', '^(%d+) (%d+) %d+ %d+ %d+ (%d+)$')
line('log        %s events ever, %.1f MB in segments %s to %s, %s shed for want of memory', events,
  (tonumber(l[2] or '0') + tonumber(size)) / 1048576, l[3] or '1', segment, l[4] or '0')
line('topics     %d', redis.call('SCARD', key('topics')))
line('queues     %d, flow keys %d', redis.call('SCARD', key('queues')), redis.call('SCARD', key('flows')))
local run = redis.call('ZRANGE', key('schedules'), 0, 0, 'WITHSCORES')
line('schedules  %d%s', redis.call('ZCARD', key('schedules')),
  run[1] and run[2] ~= 'inf' and string.format(', next %s at %.0f', run[1], tonumber(run[2])) or '')
line('aside      %d records that could not be read', redis.call('LLEN', key('aside')))

local nodes = redis.call('ZRANGE', key('nodes'), 0, 99, 'WITHSCORES')
line('nodes      %d', redis.call('ZCARD', key('nodes')))
for i = 1, #nodes, 2 do
  line('  %s holds %d, lease until %.0f', nodes[i], redis.call('HLEN', key('active:' .. nodes[i])), tonumber(nodes[i + 1]))
end

line('lanes      %d in the ring, %d wait for a time', redis.call('ZCARD', key('open')), redis.call('ZCARD', key('reopen')))
for _, lane in ipairs(redis.call('ZRANGE', key('open'), 0, most - 1)) do
  local fresh, held = stream(key('lane:' .. lane))
  local again, held_again = stream(key('again:' .. lane))
  line('  %s waiting %d, in flight %d', lane, fresh + again, held + held_again)
end
return page
