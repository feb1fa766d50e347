-- What every script shares: key names, the clock, lanes, and the ways a message comes, waits and goes.
-- It is prepended to each script when the binary is built, so a script file holds its own transition only.
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

-- Now as all nodes agree on it, or nil where the caller's clock is a second or more behind what was seen before.
-- The last value is kept to a tenth of a second: enough to notice a wrong clock, at ten writes a second and not one a call.
local function clock()
  local given = tonumber(string.match(ARGV[1], '^%d+'))
  local last = tonumber(redis.call('GET', key('clock')) or '0')
  if given < last then
    if string.find(ARGV[1], 'stepped', 1, true) then
      redis.call('SET', key('clock'), text(given))
      return given
    end
    if last - given >= 1000 then return nil end
    return last
  end
  if given - last >= 100 then redis.call('SET', key('clock'), text(given)) end
  return given
end

local function clock_refusal() return { 'clock', redis.call('GET', key('clock')) } end

-- A bounded list of what could not be read, for people and for `audit`.
local function set_aside(what)
  redis.call('LPUSH', key('aside'), what)
  redis.call('LTRIM', key('aside'), 0, 999)
end

-- One wake-up for all who sleep: `idle` is set by a node that found nothing, so a busy system publishes nothing.
local function wake()
  if redis.call('DEL', key('idle')) == 1 then redis.call('PUBLISH', key('wake'), 'open') end
end

local function lane_stream(lane) return key('lane', lane) end
local function again_stream(lane) return key('again', lane) end

-- Entries nobody was given yet. Never XINFO's lag: it is nil after an XDEL of a waiting entry.
local function waiting(stream)
  local length = redis.call('XLEN', stream)
  if length == 0 then return 0 end
  return length - redis.call('XINFO', 'GROUPS', stream)[1][6]
end

-- Opens the lane if something in it may run, closes it if not. Turn: where the lane stands in the ring when it is new.
local function open_gate(lane, turn)
  if waiting(again_stream(lane)) > 0 or waiting(lane_stream(lane)) > 0 then
    turn = turn or redis.call('INCR', key('sequence'))
    if redis.call('ZADD', key('open'), 'NX', text(turn), lane) == 1 then wake() end
  else
    redis.call('ZREM', key('open'), lane)
  end
end

-- Appends to a stream and opens its lane; answers the place. The group is made with the first entry. Ids come from
-- a sequence and never from `*`: a deleted stream or a clock step would hand out an id twice and fool the fence.
local function append(stream, lane, id, due)
  local number = redis.call('INCR', key('sequence'))
  local entry = text(number) .. '-0'
  redis.call('XADD', stream, entry, 'message', id, 'due', due)
  if redis.call('XLEN', stream) == 1 then redis.call('XGROUP', 'CREATE', stream, 'deliver', '0') end
  if redis.call('ZADD', key('open'), 'NX', text(number), lane) == 1 then wake() end
  return stream .. ' ' .. entry
end

-- Removes an entry that waits (held: that a node holds). XLEN 0 then means that nothing is pending either: the
-- stream goes. False where a held entry was no longer pending, and then nothing was written.
local function remove_entry(stream, entry, held)
  if held and redis.call('XACK', stream, 'deliver', entry) == 0 then return false end
  redis.call('XDEL', stream, entry)
  if redis.call('XLEN', stream) == 0 then redis.call('DEL', stream) end
  return true
end

-- Puts a message where it waits: among the due until its time, else into its lane. Answers the place.
local function enqueue(id, lane, due, now)
  if tonumber(due) > now then
    redis.call('ZADD', key('due'), due, id)
    if redis.call('ZRANGE', key('due'), 0, 0)[1] == id then
      redis.call('PUBLISH', key('wake'), 'due ' .. due)
    end
    return 'due'
  end
  return append(lane_stream(lane), lane, id, due)
end

-- Creates a message. The body is stored with it, or, where `shared` is given, once for all messages that name it.
local function create(id, lane, due, request, body, shared, now)
  local place = enqueue(id, lane, due, now)
  local message = key('message', id)
  redis.call('HSET', message, 'request', request, 'state', 'waiting', 'lane', lane, 'due', due, 'place', place)
  if shared ~= '' then
    redis.call('HSET', message, 'shared', shared)
    if redis.call('HINCRBY', key('body', shared), 'holders', 1) == 1 then
      redis.call('HSET', key('body', shared), 'text', body)
    end
  else
    redis.call('HSET', message, 'body', body)
  end
  redis.call('ZADD', key('messages'), text(now), id)
end

local function release_body(shared)
  if shared and redis.call('HINCRBY', key('body', shared), 'holders', -1) <= 0 then
    redis.call('DEL', key('body', shared))
  end
end

-- The id of a message that ended stays known for a while, so that a publish that is sent again finds it.
local function remember_ended(id, now)
  redis.call('ZADD', key('ended'), text(now), id)
end

-- A schedule tells how the messages of its last run ended, and of no other run.
local function note_end(schedule, id, result)
  if schedule and redis.call('HEXISTS', key('states', schedule), id) == 1 then
    redis.call('HSET', key('states', schedule), id, result)
  end
end

-- When a schedule runs next, in ms; nil or false: not by itself (it is paused, or never matches again).
local function plan_run(id, time)
  redis.call('ZADD', key('schedules'), time or '+inf', id)
  if time and redis.call('ZRANGE', key('schedules'), 0, 0)[1] == id then
    redis.call('PUBLISH', key('wake'), 'tick ' .. time)
  end
end

-- The end of a cancelled message, of which nothing is kept.
local function forget(id, now)
  local message = key('message', id)
  local record = redis.call('HMGET', message, 'shared', 'schedule')
  release_body(record[1])
  note_end(record[2], id, 'FAIL')
  redis.call('DEL', message)
  redis.call('ZREM', key('messages'), id)
  remember_ended(id, now)
end

-- Splits "<stream key> <entry>[ <claim>]" and tells the lane. A stream key holds no blank: names in it are
-- validated or hashed before they come here.
local function read_place(place)
  local stream, entry, claim = string.match(place, '^(%S+) (%d+%-%d+) ?(%d*)$')
  if not stream then return nil end
  local family, lane = string.match(string.sub(stream, #root + 2), '^(%l+):(.*)$')
  if family ~= 'lane' and family ~= 'again' then return nil end
  return { stream = stream, entry = entry, claim = tonumber(claim), lane = lane, again = family == 'again' }
end

-- Takes a message out of what a node holds; the node's share of the lane shrinks with it.
local function drop_held(node, id, lane)
  redis.call('HDEL', key('active', node), id)
  if redis.call('HINCRBY', key('share', node), lane, -1) <= 0 then redis.call('HDEL', key('share', node), lane) end
end

-- Gives a held message a new life in front of its lane, or its end where a cancel was asked for. Always a new
-- entry, so whoever held it before finds itself stale. Answers whether it was still held.
local function give_back(node, id, held, reclaimed, now)
  local place = read_place(held)
  if not place then
    redis.call('HDEL', key('active', node), id)
    set_aside('active ' .. node .. ' ' .. id .. ' ' .. held)
    return false
  end
  drop_held(node, id, place.lane)
  if not remove_entry(place.stream, place.entry, true) then return false end
  local message = key('message', id)
  local record = redis.call('HMGET', message, 'state', 'due')
  if record[1] == 'cancelling' then
    forget(id, now)
  elseif record[1] then
    local new = append(again_stream(place.lane), place.lane, id, record[2] or text(now))
    redis.call('HSET', message, 'state', 'waiting', 'place', new)
    if reclaimed then redis.call('HINCRBY', message, 'reclaimed', 1) end
  end
  return true
end

-- All a node holds, oldest entry first, so that what goes back keeps its order.
local function held_by(node)
  local all, held = redis.call('HGETALL', key('active', node)), {}
  for i = 1, #all, 2 do
    held[#held + 1] = { id = all[i], place = all[i + 1], number = tonumber(string.match(all[i + 1], ' (%d+)%-')) or 0 }
  end
  table.sort(held, function(a, b) return a.number < b.number end)
  return held
end

-- The earliest time anything waits for in ms, or "" where nothing does.
local function next_due()
  local first = redis.call('ZRANGE', key('due'), 0, 0, 'WITHSCORES')
  return first[2] and text(tonumber(first[2])) or ''
end
