-- What every script shares: key names, the clock, lanes and their gates. It is prepended to each script when the binary
-- is built, with log.lua, what happened to messages, and messages.lua, how a message comes, waits and goes, behind it: a
-- script file holds its own transition only.
--
--   KEYS[1]  the root, e.g. roost:{0}: every key a script touches starts with it
--   ARGV[1]  now in ms; with " stepped" behind it where Redis's own clock was set back
--
-- A place is "due" or "<stream key> <entry>". A held place, the value in active:<node>, has the claim number behind it.

local root = KEYS[1]

local function key(family, name)
  if name then return root .. ':' .. family .. ':' .. name end
  return root .. ':' .. family
end

-- tostring() rounds above 14 digits; times and sequence numbers must not be.
local function text(number) return string.format('%.0f', number) end

-- A wake-up that can't be sent must not stop what it is about: the nodes look by themselves, too, only later.
local function tell(what) redis.pcall('PUBLISH', key('wake'), what) end

-- Now as all nodes agree on it, or nil where the caller's clock is a second or more behind what was seen before.
-- The last value is kept to a tenth of a second: enough to notice a wrong clock, at ten writes a second and not one a call.
local function clock()
  local given = tonumber(string.match(ARGV[1], '^%d+'))
  local last = tonumber(redis.call('GET', key('clock')) or '0')
  if given < last then
    if string.find(ARGV[1], 'stepped', 1, true) then
      redis.call('SET', key('clock'), text(given))
      if last - given >= 1000 then
        -- What waits for the end of a window that begins in the future is looked at anew.
        redis.call('ZUNIONSTORE', key('reopen'), 1, key('reopen'), 'WEIGHTS', 0)
        tell('due ' .. text(given))
      end
      return given
    end
    if last - given >= 1000 then return nil end
    return last
  end
  if given - last >= 100 then redis.call('SET', key('clock'), text(given)) end
  return given
end

local function clock_refusal() return { 'clock', redis.call('GET', key('clock')) } end

-- What pcall caught, as text.
local function problem_text(problem) return type(problem) == 'table' and problem.err or tostring(problem) end

-- A bounded list of what could not be read, for people and for `audit`.
local function set_aside(what)
  redis.call('LPUSH', key('aside'), what)
  redis.call('LTRIM', key('aside'), 0, 999)
end

-- One wake-up for all who sleep: `idle` is set by a node that found nothing, so a busy system publishes nothing.
local function wake()
  if redis.call('DEL', key('idle')) == 1 then tell('open') end
end

-- What stands in the streams of a lane kind ("entries") and what of it nodes hold ("held"), for metrics: summed up during
-- the call and written at its end.
local counted = {}
local function count(what, lane, by)
  local field = what .. ':' .. string.match(lane, '^%l+')
  counted[field] = (counted[field] or 0) + by
end
local function write_counts()
  for field, by in pairs(counted) do
    if by ~= 0 then redis.call('HINCRBY', key('counts'), field, by) end
  end
  counted = {}
end

local function lane_stream(lane) return key('lane', lane) end
local function again_stream(lane) return key('again', lane) end

-- Entries nobody was given yet, and the last id that was. Never XINFO's lag: it is nil after an XDEL of a waiting entry.
local function waiting(stream)
  local length = redis.call('XLEN', stream)
  if length == 0 then return 0, '0-0' end
  local group = redis.call('XINFO', 'GROUPS', stream)[1]
  if not group then return 0, '0-0' end
  return length - group[6], group[8]
end

-- Lanes with a gate of their own: queues (parallelism, pause, the head's own time) and flow keys (parallelism, rate,
-- pause). All others are open whenever something waits in them.
local function is_queue(lane) return string.sub(lane, 1, 6) == 'queue:' end
local function is_gated(lane) return is_queue(lane) or string.sub(lane, 1, 5) == 'flow:' end

-- The gate as numbers: 0 for no limit. A queue without settings lets one through at a time.
local function read_gate(lane, now)
  local g = redis.call('HMGET', key('gate', lane), 'paused', 'parallelism', 'rate', 'period', 'windowStart', 'windowCount', 'deletedTo')
  local start, length = tonumber(g[5] or '0'), tonumber(g[4] or '1') * 1000
  local gate = {
    paused = g[1] == '1' or g[7], parallelism = tonumber(g[2] or (is_queue(lane) and '1' or '0')),
    rate = tonumber(g[3] or '0'), count = tonumber(g[6] or '0'), window_end = start + length,
  }
  -- A window that has ended, or begins in the future because Redis's clock was set back, counts nothing. (Less than a
  -- second ahead is another node's now.)
  if now >= gate.window_end or start - now >= 1000 then gate.count, gate.window_end = 0, 0 end
  return gate
end

local function rate_allows(gate) return gate.rate == 0 or gate.count < gate.rate end
local function slot_free(gate, lane)
  return gate.parallelism == 0 or redis.call('SCARD', key('held', lane)) < gate.parallelism
end

-- When the first entry behind `last` is due, in ms.
local function due_behind(stream, last)
  local head = redis.call('XRANGE', stream, '(' .. last, '+', 'COUNT', 1)[1]
  return head and tonumber(head[2][4]) or math.huge
end

-- Whether something in a gated lane may run now; else when time alone will let it, or nil.
local function gate_verdict(lane, now)
  local gate = read_gate(lane, now)
  if gate.paused then return false end
  local ready
  if waiting(again_stream(lane)) > 0 then ready = now end
  if not ready then
    local fresh, last = waiting(lane_stream(lane))
    if fresh > 0 and slot_free(gate, lane) then
      ready = is_queue(lane) and due_behind(lane_stream(lane), last) or now
    end
  end
  if not ready then return false end
  if not rate_allows(gate) then ready = math.max(ready, gate.window_end) end
  if ready <= now then return true end
  return false, ready
end

-- Puts a lane into the ring if something in it may run, and into `reopen` if only time is missing: computed from
-- nothing, whatever stood there before.
local function open_gate(lane, now)
  local open, at
  if is_gated(lane) then
    open, at = gate_verdict(lane, now)
    if at then
      if tonumber(redis.call('ZSCORE', key('reopen'), lane) or '-1') ~= at then
        redis.call('ZADD', key('reopen'), text(at), lane)
        if redis.call('ZRANGE', key('reopen'), 0, 0)[1] == lane then tell('due ' .. text(at)) end
      end
    else
      redis.call('ZREM', key('reopen'), lane)
    end
  else
    open = waiting(again_stream(lane)) > 0 or waiting(lane_stream(lane)) > 0
  end
  if not open then return redis.call('ZREM', key('open'), lane) end
  if redis.call('ZADD', key('open'), 'NX', text(redis.call('INCR', key('sequence'))), lane) == 1 then wake() end
end

-- Lanes whose gates stand on something this call has changed. Each is computed once, however many messages went
-- through it, by `open_touched` before a script answers.
local touched, is_touched = {}, {}
local function touch(lane)
  if is_touched[lane] then return end
  is_touched[lane] = true
  touched[#touched + 1] = lane
end
local function open_touched(now)
  for _, lane in ipairs(touched) do
    local fine, problem = pcall(open_gate, lane, now)
    if not fine then set_aside('gate ' .. lane .. ': ' .. problem_text(problem)) end
  end
  touched, is_touched = {}, {}
end

-- Appends to a stream and opens its lane; answers the place. The group is made with the first entry. Ids come from
-- a sequence and never from `*`: a deleted stream or a clock step would hand out an id twice and fool the fence.
-- What comes behind others never closes a gate, so one that stands open needs no look.
local function append(stream, lane, id, due)
  local number = redis.call('INCR', key('sequence'))
  local entry = text(number) .. '-0'
  redis.call('XADD', stream, entry, 'message', id, 'due', due)
  count('entries', lane, 1)
  if redis.call('XLEN', stream) == 1 then redis.call('XGROUP', 'CREATE', stream, 'deliver', '0') end
  if is_gated(lane) then
    if not redis.call('ZSCORE', key('open'), lane) then touch(lane) end
  elseif redis.call('ZADD', key('open'), 'NX', text(number), lane) == 1 then
    wake()
  end
  return stream .. ' ' .. entry
end

-- Removes an entry of a lane that waits (held: that a node holds). XLEN 0 then means that nothing is pending either: the
-- stream goes. False where a held entry was no longer pending, and then nothing was written.
local function remove_entry(stream, lane, entry, held)
  if held and redis.call('XACK', stream, 'deliver', entry) == 0 then return false end
  count('entries', lane, -redis.call('XDEL', stream, entry))
  if redis.call('XLEN', stream) == 0 then redis.call('DEL', stream) end
  return true
end

local function wait_for_time(id, due)
  redis.call('ZADD', key('due'), due, id)
  if redis.call('ZRANGE', key('due'), 0, 0)[1] == id then tell('due ' .. due) end
  return 'due'
end

-- Where a message goes whose time has come: behind its flow key if it has one; a queue's message that holds its slot
-- already goes before all others of the queue; else into its lane. Answers the place.
local function enter(id, lane, queue, flow, due)
  if flow then return append(lane_stream('flow:' .. flow), 'flow:' .. flow, id, due) end
  if queue then return append(again_stream(lane), lane, id, due) end
  return append(lane_stream(lane), lane, id, due)
end
