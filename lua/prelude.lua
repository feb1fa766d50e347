-- What every script shares: key names, the clock, lanes and their gates. It is prepended to each script when the binary
-- is built, with log.lua, what happened to messages, and messages.lua, how a message comes, waits and goes, behind it: a
-- script file holds its own transition only.
--
--   KEYS[1]  the root, e.g. roost:{0}: every key a script touches starts with it
--   ARGV[1]  now in ms; with " stepped" behind it where Redis's own clock was set back; with " claims" where the caller's next
--            claim comes right behind this call and says that it follows
--
-- A place is "due" or "<stream key> <entry>". A held place, the value in active:<node>, has the claim number behind it.

local root = KEYS[1]

-- Making a text costs Lua a walk over its bytes: those that are used again and again are made once a call.
local single_keys = {}
local function key(family, name)
  if name then return root .. ':' .. family .. ':' .. name end
  local made = single_keys[family]
  if not made then
    made = root .. ':' .. family
    single_keys[family] = made
  end
  return made
end

-- tostring() rounds above 14 digits; times and sequence numbers must not be.
local format, match = string.format, string.match
local last_told, last_text, last_time, time_text
local function text(number)
  if number == last_time then return time_text end
  if number ~= last_told then
    last_told, last_text = number, format('%d', number)
    -- Times come again between all the others.
    if number > 1e11 then last_time, time_text = last_told, last_text end
  end
  return last_text
end
-- The messages of a call are mostly due at the same time.
local last_due, due_number
local function due_time(due)
  if due ~= last_due then last_due, due_number = due, tonumber(due) end
  return due_number
end

-- A wake-up that can't be sent must not stop what it is about: the nodes look by themselves, too, only later.
local function tell(what) redis.pcall('PUBLISH', key('wake'), what) end

-- Now as all nodes agree on it, or nil where the caller's clock is a second or more behind what was seen before.
-- The last value is kept to a tenth of a second: enough to notice a wrong clock, at ten writes a second and not one a call.
local function clock()
  local given = tonumber(ARGV[1]) or tonumber(match(ARGV[1], '^%d+'))
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

-- Writes of one call to the same key go together, in one command at the call's end: a message costs Redis as many commands
-- as it has keys of its own, and the indexes cost each call one. Nothing a call reads may stand on them: what was
-- given here is not there before `finish`. A script that fails halfway calls `finish` all the same, and an index that can't be
-- written (its key is of another type) stops none of the others.
local deferred, deferred_at = {}, {}
local function write(call)
  local written = redis.pcall(unpack(call))
  if type(written) == 'table' and written.err then
    set_aside(call[1] .. ' ' .. call[2] .. ': ' .. written.err .. ': ' .. string.sub(table.concat(call, ' ', 3), 1, 300))
  end
end
local function defer(command, to, a, b)
  local calls = deferred_at[to]
  if not calls then
    calls = {}
    deferred_at[to] = calls
  end
  local call = calls[command]
  if not call then
    call = { command, to }
    calls[command], deferred[#deferred + 1] = call, call
  end
  call[#call + 1] = a
  if b then call[#call + 1] = b end
  -- Lua hands over some thousands of arguments at most.
  if #call > 500 then
    write(call)
    for i = #call, 3, -1 do call[i] = nil end
  end
end
local function write_deferred()
  if #deferred == 0 then return end
  for _, call in ipairs(deferred) do
    if #call > 2 then write(call) end
  end
  deferred, deferred_at = {}, {}
end

-- Numbers of entries and of turns in the ring: ascending, never given twice. A script that knows how many it will need
-- asks for all of them with the first.
local numbers_left, numbers_wanted, last_number = 0, 1, 0
local function next_number()
  if numbers_left == 0 then
    last_number = redis.call('INCRBY', key('sequence'), numbers_wanted) - numbers_wanted
    numbers_left, numbers_wanted = numbers_wanted, 1
  end
  numbers_left, last_number = numbers_left - 1, last_number + 1
  return last_number
end

-- One wake-up for all who sleep: `idle` is set by a node that found nothing, so a busy system publishes nothing. Neither does
-- a caller who claims next: that claim finds what was opened here, and wakes the others where it leaves something of it.
local is_claimed_next = string.find(ARGV[1], 'claims', 1, true)
-- Whether a wake-up was left to that claim.
local is_wake_left = false
local function wake()
  if is_claimed_next then
    is_wake_left = true
  elseif redis.call('DEL', key('idle')) == 1 then
    tell('open')
  end
end

-- What stands in the streams of a lane kind ("entries") and what of it nodes hold ("held"), for metrics: summed up during
-- the call and written at its end.
local counted = { entries = {}, held = {} }
local function count(what, lane, by) counted[what][lane] = (counted[what][lane] or 0) + by end
local function write_counts()
  for what, of_lanes in pairs(counted) do
    if next(of_lanes) then
      local of_kinds = {}
      for lane, by in pairs(of_lanes) do
        local kind = match(lane, '^%l+')
        of_kinds[kind] = (of_kinds[kind] or 0) + by
      end
      for kind, by in pairs(of_kinds) do
        if by ~= 0 then redis.call('HINCRBY', key('counts'), what .. ':' .. kind, text(by)) end
      end
      counted[what] = {}
    end
  end
end

-- Once more, and again where another part begins: Lua, which makes all functions anew for each call, looks for what they capture
-- among all locals from the newest on. Near at hand these spare a call with one message a twentieth of its time.
local key, text = key, text

local last_lane, stream_of_last
local function lane_stream(lane)
  if lane ~= last_lane then last_lane, stream_of_last = lane, key('lane', lane) end
  return stream_of_last
end
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
local gated = {}
local function is_gated(lane)
  if gated[lane] == nil then gated[lane] = is_queue(lane) or string.sub(lane, 1, 5) == 'flow:' end
  return gated[lane]
end

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
  if redis.call('ZADD', key('open'), 'NX', text(next_number()), lane) == 1 then wake() end
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
  if #touched == 0 then return end
  for _, lane in ipairs(touched) do
    local fine, problem = pcall(open_gate, lane, now)
    if not fine then set_aside('gate ' .. lane .. ': ' .. problem_text(problem)) end
  end
  touched, is_touched = {}, {}
end

-- Appends to a stream and opens its lane; answers the place. The group is made with the first entry. Ids come from
-- a sequence and never from `*`: a deleted stream or a clock step would hand out an id twice and fool the fence.
-- What comes behind others never closes a gate, so one that stands open needs no look, and what comes behind another of
-- the same call (`appended`, until the stream is deleted) needs neither that nor a group.
local appended = {}
local function append(stream, lane, id, due)
  local number = next_number()
  local entry = format('%d-0', number)
  redis.call('XADD', stream, entry, 'message', id, 'due', due)
  count('entries', lane, 1)
  if appended[stream] then return stream .. ' ' .. entry end
  appended[stream] = true
  if redis.call('XLEN', stream) == 1 then redis.call('XGROUP', 'CREATE', stream, 'deliver', '0') end
  if is_gated(lane) then
    if not redis.call('ZSCORE', key('open'), lane) then touch(lane) end
  elseif redis.call('ZADD', key('open'), 'NX', text(number), lane) == 1 then
    wake()
  end
  return stream .. ' ' .. entry
end

-- Removes entries of a lane. XLEN 0 then means that nothing is pending either: the stream goes.
local function delete_entries(stream, lane, entries)
  if #entries > 0 then count('entries', lane, -redis.call('XDEL', stream, unpack(entries))) end
  if redis.call('XLEN', stream) == 0 then
    redis.call('DEL', stream)
    appended[stream] = nil
  end
end

-- Removes an entry of a lane that waits (held: that a node holds). False where a held entry was no longer pending, and
-- then nothing was written.
local function remove_entry(stream, lane, entry, held)
  if held and redis.call('XACK', stream, 'deliver', entry) == 0 then return false end
  delete_entries(stream, lane, { entry })
  return true
end

-- The same for a held one of many that end in this call: acknowledged now, which is the fence, and deleted with the
-- others of its stream by `finish`.
local ended_entries = {}
local function end_entry(stream, lane, entry)
  if redis.call('XACK', stream, 'deliver', entry) == 0 then return false end
  local ended = ended_entries[stream]
  if not ended then
    ended = { lane = lane }
    ended_entries[stream] = ended
  end
  ended[#ended + 1] = entry
  return true
end
-- Of many, those before all that is pending are trimmed, whole nodes at once, where XDEL walks through half a node for each.
-- Entries are handed out in their order and deleted as they end: before the first that is pending stands nothing else.
-- Answers those that are left to delete.
local function trim_ended(stream, ended)
  local pending = redis.pcall('XPENDING', stream, 'deliver')
  if pending.err then return ended end
  local first = pending[2] and tonumber(match(pending[2], '^%d+')) or math.huge
  local left, last = {}, 0
  for _, entry in ipairs(ended) do
    -- Behind the number stands "-0".
    local number = tonumber(string.sub(entry, 1, -3))
    if number < first then last = math.max(last, number) else left[#left + 1] = entry end
  end
  if last > 0 then count('entries', ended.lane, -redis.call('XTRIM', stream, 'MINID', text(last + 1))) end
  return left
end
local function delete_ended_entries()
  for stream, ended in pairs(ended_entries) do
    delete_entries(stream, ended.lane, #ended > 8 and trim_ended(stream, ended) or ended)
  end
  ended_entries = {}
end

-- The nodes are told once a call, where something of it is the first of all that wait.
local waits_first
local function wait_for_time(id, due)
  defer('ZADD', key('due'), due, id)
  local time = due_time(due)
  if not waits_first or time < waits_first.time then waits_first = { id = id, due = due, time = time } end
  return 'due'
end
local function tell_first_due()
  local first = waits_first
  if not first then return end
  waits_first = nil
  local found = redis.call('ZRANGE', key('due'), 0, 0, 'WITHSCORES')
  if found[1] == first.id or tonumber(found[2] or 'inf') == first.time then tell('due ' .. first.due) end
end

-- Appends a message that has no other place; answers its place and when it is due. Where that can't be done (a key of another type
-- stands there, or in the ring) it waits a minute in `due`, and is tried again then.
local function append_or_wait(stream, lane, id, due, now)
  local fine, place = pcall(append, stream, lane, id, due)
  if fine then return place, due end
  set_aside('lane ' .. lane .. ' ' .. id .. ': ' .. problem_text(place))
  -- The entry, if it came to that: a message has one place.
  pcall(delete_entries, stream, lane, { format('%d-0', last_number) })
  local later = text(now + 60000)
  return wait_for_time(id, later), later
end

-- Where a message goes whose time has come: behind its flow key if it has one; a queue's message that holds its slot
-- already goes before all others of the queue; else into its lane. Answers as `append_or_wait` does.
local function enter(id, lane, queue, flow, due, now)
  if flow then return append_or_wait(lane_stream('flow:' .. flow), 'flow:' .. flow, id, due, now) end
  if queue then return append_or_wait(again_stream(lane), lane, id, due, now) end
  return append_or_wait(lane_stream(lane), lane, id, due, now)
end
