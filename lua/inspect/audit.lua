-- audit: every message in exactly one place, every slot held by a living message.
--
--   redis-cli --eval lua/inspect/audit.lua 'roost:{0}' , CURSOR [PAGE]
--
-- Begin with CURSOR 0 and call again with the first line of the answer until it is 0 again; the other lines are
-- findings, one for each, with the id and the two places that disagree. Read only, PAGE items a call (default 500).
--
-- How a bijection is proved in pages: page by page each live message is found where its record says it is, and at
-- the end the sizes of the places must add up to the number of messages, so nothing else is in them. While a server
-- runs, the sums may be off by what moved between two pages: findings that stay when it is asked again are real.

local root, page = KEYS[1], tonumber(ARGV[2] or '500')
local function key(name) return root .. ':' .. name end
local findings = {}
local function finding(...) findings[#findings + 1] = string.format(...) end

-- The cursor: phase, position in it, and the sums so far.
local sums = {}
local phase, position = 'messages', '0'
local names = { 'due', 'streamed', 'held', 'entries', 'pending', 'active', 'share', 'sharers', 'holders', 'gated', 'counted' }
for _, name in ipairs(names) do sums[name] = 0 end
if ARGV[1] and ARGV[1] ~= '0' then
  local words = {}
  for word in string.gmatch(ARGV[1], '[^/]+') do words[#words + 1] = word end
  phase, position = words[1], words[2]
  for i, name in ipairs(names) do sums[name] = tonumber(words[i + 2]) or 0 end
end
local function count(name, by) sums[name] = sums[name] + by end

local function cursor(next_phase, next_position)
  local words = { next_phase, next_position }
  for _, name in ipairs(names) do words[#words + 1] = string.format('%d', sums[name]) end
  return table.concat(words, '/')
end

local function pending_entry(stream, entry)
  local reply = redis.pcall('XPENDING', stream, 'deliver', entry, entry, 1)
  return not reply.err and #reply == 1
end

-- ms: a message that is due longer than this and was not moved is one that nobody looks at.
local longest_overdue = 600000

local function check_shared(id, record_key, shared)
  if not shared then return end
  count('sharers', 1)
  if redis.call('EXISTS', key('body:' .. shared)) == 0 then
    finding('%s: %s names the body %s, which is gone', id, record_key, key('body:' .. shared))
  end
end

local function check_message(id)
  local message = key('message:' .. id)
  local r = redis.call('HMGET', message, 'state', 'place', 'lane', 'due', 'request', 'body', 'shared', 'queue', 'flow')
  local state, place = r[1], r[2]
  if not state then return finding('%s: in %s, but %s does not exist', id, key('messages'), message) end
  if not r[5] or not (r[6] or r[7]) then finding('%s: %s has no request or no body', id, message) end
  check_shared(id, message, r[7])
  count('gated', (r[8] and 1 or 0) + (r[9] and 1 or 0))
  if not place then return finding('%s: %s is %s and has no place', id, message, state) end
  if place == 'due' then
    count('due', 1)
    local score = redis.call('ZSCORE', key('due'), id)
    if not score then
      finding('%s: its place is due, but it is not in %s', id, key('due'))
    elseif tonumber(score) ~= tonumber(r[4]) then
      finding('%s: due %s in its record, %s in %s', id, tostring(r[4]), score, key('due'))
    end
    if state ~= 'waiting' then finding('%s: %s while in %s', id, state, key('due')) end
    if r[8] and redis.call('SISMEMBER', key('held:queue:' .. r[8]), id) == 0 then
      finding('%s: between attempts without a slot of its queue %s', id, r[8])
    end
    local seen = tonumber(redis.call('GET', key('clock')) or '0')
    if score and seen - tonumber(score) > longest_overdue then finding('%s: due at %s, and still in %s', id, score, key('due')) end
    return
  end
  count('streamed', 1)
  local stream, entry = string.match(place, '^(%S+) (%S+)$')
  if not stream then return finding('%s: unreadable place "%s"', id, place) end
  local found = redis.pcall('XRANGE', stream, entry, entry)
  if found.err or not found[1] or found[1][2][2] ~= id then
    return finding('%s: its place is %s, but that entry is not there or is another\'s', id, place)
  end
  local held = pending_entry(stream, entry)
  if state == 'waiting' and held then finding('%s: waiting, but entry %s is pending', id, place) end
  if state ~= 'waiting' then
    count('held', 1)
    if not held then finding('%s: %s, but entry %s is not pending', id, state, place) end
  end
end

local function waiting(name)
  local length = redis.call('XLEN', name)
  if length == 0 then return 0, '0-0' end
  local group = redis.call('XINFO', 'GROUPS', name)[1]
  if not group then return 0, '0-0' end
  return length - group[6], group[8]
end

-- From when on the gate of a queue or a flow key lets something through, in ms; 0: now; nil: not by time alone.
local function opens_at(lane)
  local kind = string.match(lane, '^%l+')
  local g = redis.call('HMGET', key('gate:' .. lane), 'paused', 'parallelism', 'deletedTo', 'rate', 'period', 'windowStart', 'windowCount')
  if g[1] == '1' or g[3] then return nil end
  local at = 0
  if waiting(key('again:' .. lane)) == 0 then
    local fresh, last = waiting(key('lane:' .. lane))
    local parallelism = tonumber(g[2] or (kind == 'queue' and '1' or '0'))
    if fresh == 0 or (parallelism > 0 and redis.call('SCARD', key('held:' .. lane)) >= parallelism) then return nil end
    if kind == 'queue' then at = tonumber(redis.call('XRANGE', key('lane:' .. lane), '(' .. last, '+', 'COUNT', 1)[1][2][4]) end
  end
  if g[4] and tonumber(g[7] or '0') >= tonumber(g[4]) then
    at = math.max(at, tonumber(g[6] or '0') + 1000 * tonumber(g[5] or '1'))
  end
  return at
end

-- A gated lane stands in `open` where its gate is open, in `reopen` at the time it opens where time alone is missing,
-- else nowhere. A time that has passed may stand in either: the promoter is on its way.
local function check_ring(lane)
  local open, reopen, at = redis.call('ZSCORE', key('open'), lane), redis.call('ZSCORE', key('reopen'), lane), opens_at(lane)
  if at == nil then
    if open then finding('%s: in %s, but its gate is closed', lane, key('open')) end
    if reopen then finding('%s: in %s at %s, but time does not open its gate', lane, key('reopen'), reopen) end
  elseif not open and not reopen then
    finding('%s: may run from %.0f on, but is in neither %s nor %s', lane, at, key('open'), key('reopen'))
  elseif not open and tonumber(reopen) ~= at then
    finding('%s: in %s at %s, but its gate opens at %.0f', lane, key('reopen'), reopen, at)
  end
end

-- A slot is held by a live message; a queue's also by one that has ended and waits for its callbacks.
local function check_held(name, lane)
  for _, id in ipairs(redis.call('SMEMBERS', name)) do
    local r = redis.call('HMGET', key('message:' .. id), 'state', 'place')
    local waits = redis.call('EXISTS', key('waits:' .. id)) == 1
    if string.match(lane, '^queue:') then
      if (not r[1] or r[1] == 'delivered') and not waits then finding('%s: holds a slot of %s and has ended', id, lane) end
    elseif not r[1] or r[1] == 'delivered' then
      finding('%s: holds a slot of %s and has ended', id, lane)
    elseif r[1] == 'waiting' and string.sub(r[2] or '', 1, #key('again:')) ~= key('again:') then
      finding('%s: holds a slot of %s and waits at %s', id, lane, tostring(r[2]))
    end
  end
end

local function check_gate(name, lane)
  count('counted', tonumber(redis.call('HGET', name, 'messages') or '0'))
  local kind, short = string.match(lane, '^(%l+):(.*)$')
  local set = kind == 'queue' and 'queues' or 'flows'
  local left = tonumber(redis.call('HGET', name, 'messages') or '0')
  if redis.call('HEXISTS', name, 'deletedTo') == 1 and redis.call('SISMEMBER', key('deleting'), short) == 0 then
    finding('%s: closed for its deletion, but not in %s', lane, key('deleting'))
  end
  if left < 0 then finding('%s: counts %d messages', lane, left) end
  if left == 0 and redis.call('SISMEMBER', key(set), short) == 0 then finding('%s: stays, but is not in %s', name, key(set)) end
end

local function check_waits(name, source)
  for _, id in ipairs(redis.call('SMEMBERS', name)) do
    if redis.call('HGET', key('message:' .. id), 'source') ~= source then
      finding('%s: %s waits for it, but it is gone', id, source)
    end
  end
end

local function check_stream(name, lane)
  local length = redis.call('XLEN', name)
  if length == 0 then return finding('%s: an empty stream was not deleted', name) end
  local groups = redis.call('XINFO', 'GROUPS', name)
  if not groups[1] then return finding('%s: a stream without its group', name) end
  count('entries', length)
  count('pending', groups[1][6])
  if string.match(lane, '^queue:') or string.match(lane, '^flow:') then return check_ring(lane) end
  if length > groups[1][6] and not redis.call('ZSCORE', key('open'), lane) then
    finding('%s: %d wait in %s, but the lane is not in %s', lane, length - groups[1][6], name, key('open'))
  end
end

local function check_active(name, node)
  local held = redis.call('HGETALL', name)
  if not redis.call('ZSCORE', key('nodes'), node) then finding('%s: holds %d, but is not in %s', name, #held / 2, key('nodes')) end
  local by_lane = {}
  for i = 1, #held, 2 do
    local id, stream, entry = held[i], string.match(held[i + 1], '^(%S+) (%S+) %d+$')
    count('active', 1)
    if not stream or redis.call('HGET', key('message:' .. id), 'place') ~= stream .. ' ' .. entry then
      finding('%s: held by %s as "%s", its record says "%s"', id, node, held[i + 1],
        tostring(redis.call('HGET', key('message:' .. id), 'place')))
    else
      local lane = string.match(string.sub(stream, #root + 2), '^%l+:(.*)$')
      local queue = redis.call('HGET', key('message:' .. id), 'queue')
      if queue and redis.call('SISMEMBER', key('held:queue:' .. queue), id) == 0 then
        finding('%s: in flight without a slot of its queue %s', id, queue)
      end
      by_lane[lane] = (by_lane[lane] or 0) + 1
    end
  end
  for lane, n in pairs(by_lane) do
    local share = tonumber(redis.call('HGET', key('share:' .. node), lane) or '0')
    if share ~= n then finding('%s: %s holds %d, its share says %d', lane, node, n, share) end
  end
end

local function check_share(name)
  for i, value in ipairs(redis.call('HVALS', name)) do count('share', tonumber(value)) end
end

local function check_body(name)
  count('holders', tonumber(redis.call('HGET', name, 'holders') or '0'))
  if redis.call('HEXISTS', name, 'text') == 0 then finding('%s: a shared body without its text', name) end
end

-- A schedule stands in `schedules` at its next run, a paused one without a time.
local function check_schedule(name, id)
  local r = redis.call('HMGET', name, 'next', 'paused', 'topic')
  local score = redis.call('ZSCORE', key('schedules'), id)
  if not score then
    finding('%s: %s is not in %s', id, name, key('schedules'))
  elseif score ~= 'inf' and (r[2] or tonumber(score) ~= tonumber(r[1])) then
    finding('%s: next run %s%s, but %s in %s', id, tostring(r[1]), r[2] and ', paused' or '', score, key('schedules'))
  end
  if r[3] and redis.call('SISMEMBER', key('scheduled:' .. r[3]), id) == 0 then
    finding('%s: publishes to topic %s, but is not in %s', id, r[3], key('scheduled:' .. r[3]))
  end
end

local function check_owner(name, owner)
  if redis.call('EXISTS', owner) == 0 then finding('%s: stays without %s', name, owner) end
end

-- A segment of the log is one of those that are counted: dropped ones are gone whole.
local function check_segment(name, number)
  local l = redis.call('HMGET', key('log'), 'first', 'head')
  local n, last = tonumber(number), string.match(l[2] or '1', '^%d+')
  if not n or n < tonumber(l[1] or '1') or n > tonumber(last) then
    finding('%s: not one of the segments %s to %s', name, l[1] or '1', last)
  elseif n < tonumber(last) and redis.call('HEXISTS', key('log'), n) == 0 then
    finding('%s: %s does not count it', name, key('log'))
  end
end

local function check_key(name)
  local family, rest = string.match(string.sub(name, #root + 2), '^(%a+):(.*)$')
  if family == 'lane' or family == 'again' then check_stream(name, rest)
  elseif family == 'active' then check_active(name, rest)
  elseif family == 'share' then check_share(name)
  elseif family == 'body' then check_body(name)
  elseif family == 'gate' then check_gate(name, rest)
  elseif family == 'held' then check_held(name, rest)
  elseif family == 'waits' then check_waits(name, rest)
  elseif family == 'schedule' then check_schedule(name, rest)
  elseif family == 'log' or family == 'history' then check_segment(name, rest)
  elseif family == 'states' then check_owner(name, key('schedule:' .. rest))
  elseif family == 'scheduled' then check_owner(name, key('topic:' .. rest))
  end
end

local function check_sums()
  local due, live = redis.call('ZCARD', key('due')), redis.call('ZCARD', key('messages'))
  if due ~= sums.due then finding('%s: %d members, but %d messages have that place', key('due'), due, sums.due) end
  if live ~= sums.due + sums.streamed then
    finding('%s: %d members, but %d messages have a place', key('messages'), live, sums.due + sums.streamed)
  end
  if sums.entries ~= sums.streamed then finding('streams: %d entries, but %d messages have a place there', sums.entries, sums.streamed) end
  if sums.pending ~= sums.held then finding('streams: %d entries are pending, but %d messages are in flight', sums.pending, sums.held) end
  if sums.active ~= sums.held then finding('active: nodes hold %d, but %d messages are in flight', sums.active, sums.held) end
  if sums.share ~= sums.active then finding('share: lanes count %d, but nodes hold %d', sums.share, sums.active) end
  if sums.holders ~= sums.sharers then finding('body: %d holders counted, but %d records share one', sums.holders, sums.sharers) end
  if sums.counted ~= sums.gated then finding('gates: %d messages counted, but %d have a queue or a flow key', sums.counted, sums.gated) end
  local kept = { entries = 0, held = 0 }
  local counts = redis.call('HGETALL', key('counts'))
  for i = 1, #counts, 2 do
    local what = string.match(counts[i], '^(%l+):')
    if what then kept[what] = kept[what] + tonumber(counts[i + 1]) end
  end
  if kept.entries ~= sums.entries then finding('%s: counts %d entries, streams hold %d', key('counts'), kept.entries, sums.entries) end
  if kept.held ~= sums.active then finding('%s: counts %d held, nodes hold %d', key('counts'), kept.held, sums.active) end
  for _, ring in ipairs({ 'open', 'reopen' }) do
    for _, lane in ipairs(redis.call('ZRANGE', key(ring), 0, page - 1)) do
      if waiting(key('lane:' .. lane)) + waiting(key('again:' .. lane)) == 0 then
        finding('%s: in %s, but nothing waits in it', lane, key(ring))
      end
    end
  end
end

-- What can't be checked, a key of another type say, is a finding and not the end of the audit.
local function checked(check, name)
  local fine, problem = pcall(check, name)
  if not fine then finding('%s: %s', name, type(problem) == 'table' and problem.err or tostring(problem)) end
end

-- Walks a sorted set of ids by rank; answers the next cursor.
local function walk(set, check, next_phase)
  local from = tonumber(position)
  local ids = redis.call('ZRANGE', key(set), from, from + page - 1)
  for _, id in ipairs(ids) do checked(check, id) end
  if #ids == page then return cursor(phase, string.format('%d', from + page)) end
  return cursor(next_phase, '0')
end

local next_cursor
if phase == 'messages' then
  next_cursor = walk('messages', check_message, 'finished')
elseif phase == 'finished' then
  next_cursor = walk('finished', function(id)
    local r = redis.call('HMGET', key('message:' .. id), 'state', 'shared')
    if r[1] ~= 'delivered' then finding('%s: in %s, but its record says %s', id, key('finished'), tostring(r[1])) end
    check_shared(id, key('message:' .. id), r[2])
  end, 'dead')
elseif phase == 'dead' then
  next_cursor = walk('dead', function(id)
    local r = redis.call('HMGET', key('dead:' .. id), 'message', 'shared')
    if not r[1] then finding('%s: in %s, but %s does not exist', id, key('dead'), key('dead:' .. id)) end
    check_shared(id, key('dead:' .. id), r[2])
  end, 'keys')
elseif phase == 'keys' then
  local reply = redis.call('SCAN', position, 'MATCH', root:gsub('([%[%]%*%?\\])', '\\%1') .. ':*', 'COUNT', page)
  for _, name in ipairs(reply[2]) do checked(check_key, name) end
  next_cursor = cursor(reply[1] == '0' and 'sums' or 'keys', reply[1])
elseif phase == 'sums' then
  checked(check_sums, root)
  next_cursor = '0'
else
  return redis.error_reply('unknown cursor ' .. phase .. ': begin with 0')
end
table.insert(findings, 1, next_cursor)
return findings
