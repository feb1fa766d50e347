-- late: what should have run by now and has not, the latest first.
--
--   redis-cli --eval lua/inspect/late.lua 'roost:{0}' , "$(date +%s%3N)" [LIMIT]
--
-- Read only. Looks at the oldest LIMIT of `due` and at the heads of the first LIMIT lanes of the ring (default 20).

local root, now, most = KEYS[1], tonumber(ARGV[1] or ''), tonumber(ARGV[2] or '20')
if not now then return redis.error_reply('give now in ms: … \'roost:{0}\' , "$(date +%s%3N)"') end
local function key(name) return root .. ':' .. name end
local found = {}

local due = redis.call('ZRANGE', key('due'), '-inf', string.format('%.0f', now), 'BYSCORE', 'LIMIT', 0, most, 'WITHSCORES')
for i = 1, #due, 2 do
  found[#found + 1] = { late = now - tonumber(due[i + 1]), what = due[i] .. ' in due, not yet in its lane' }
end
for _, lane in ipairs(redis.call('ZRANGE', key('open'), 0, most - 1)) do
  for _, family in ipairs({ 'again', 'lane' }) do
    local stream = key(family .. ':' .. lane)
    if redis.call('XLEN', stream) > 0 then
      local group = redis.call('XINFO', 'GROUPS', stream)[1]
      local head = redis.call('XRANGE', stream, '(' .. group[8], '+', 'COUNT', 1)[1]
      if head and tonumber(head[2][4]) <= now then
        found[#found + 1] = {
          late = now - tonumber(head[2][4]),
          what = head[2][2] .. ' heads ' .. lane .. ', behind it ' .. (redis.call('XLEN', stream) - group[6] - 1),
        }
      end
    end
  end
end
table.sort(found, function(a, b) return a.late > b.late end)
local page = {}
for i = 1, math.min(#found, most) do page[i] = string.format('%.0f ms late  %s', found[i].late, found[i].what) end
if #page == 0 then page[1] = 'nothing is late' end
return page
