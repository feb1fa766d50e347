-- The second part of the prelude: the log, what happened to messages. Its events stand in segments, streams that are
-- dropped whole, the oldest first, by age or when all of them together are too large. It is the first thing to go when
-- memory is short; a message is never refused because of it.
--
--   log          hash: limit (bytes of all segments, 0: nothing is logged), first and last (numbers of segments), events
--                (their number ever), time (of the last), of the last segment from, start and size, bytes (of the others),
--                shed and shedBytes (what went before its time); <n>: "<first event> <events> <first ms> <last ms> <bytes>"
--   log:<n>      stream: events as <ms>-<number of the event>, the ref of an event. Always the same six fields, which
--                costs a stream nothing: message, state, created and before (refs of its first event and of the one
--                before), detail (JSON text: the request with CREATED, the answer with ERROR;
--                the url where the first event is in an earlier segment), body (cut)
--   history:<n>  hash: id of a message that ended in that segment -> ref of its last event. A living one has it itself.

local segment_bytes = 4194304

-- nil until the first event of this call, false where nothing is logged.
local events

local function open_log()
  local l = redis.call('HMGET', key('log'), 'limit', 'last', 'events', 'time', 'from', 'start', 'size')
  local limit = tonumber(l[1] or '268435456')
  events = limit > 0 and {
    limit = limit, segment = tonumber(l[2] or '1'), number = tonumber(l[3] or '0'), time = tonumber(l[4] or '0'),
    from = tonumber(l[5] or '1'), start = tonumber(l[6] or '0'), size = tonumber(l[7] or '0'),
  }
end

-- The oldest segment goes, if it is not the one that is written. Answers its events, or nil; `early`: before its time.
local function drop_segment(early)
  local l = redis.call('HMGET', key('log'), 'first', 'last')
  local first = tonumber(l[1] or '1')
  if first >= tonumber(l[2] or '1') then return nil end
  local count, bytes = string.match(redis.call('HGET', key('log'), first) or '', '^%d+ (%d+) %d+ %d+ (%d+)$')
  redis.call('UNLINK', key('log', first), key('history', first))
  redis.call('HDEL', key('log'), first)
  redis.call('HSET', key('log'), 'first', first + 1)
  redis.call('HINCRBY', key('log'), 'bytes', -tonumber(bytes or '0'))
  if early then
    redis.call('HINCRBY', key('log'), 'shed', count or 0)
    redis.call('HINCRBY', key('log'), 'shedBytes', bytes or 0)
  end
  return tonumber(count or '0')
end

-- Begins the next segment; the one before may go from now on.
local function next_segment()
  local e = events
  if e.size == 0 then return end
  local count = e.number - e.from + 1
  redis.call('HSET', key('log'), e.segment, string.format('%.0f %.0f %.0f %.0f %.0f', e.from, count, e.start, e.time, e.size),
    'last', e.segment + 1)
  local bytes = redis.call('HINCRBY', key('log'), 'bytes', text(e.size))
  e.segment, e.from, e.start, e.size = e.segment + 1, e.number + 1, 0, 0
  while bytes > e.limit and drop_segment(true) do bytes = tonumber(redis.call('HGET', key('log'), 'bytes')) end
end

-- Whoever logs calls it before it answers.
local function close_log()
  local e = events
  if not e or not e.changed then return end
  if e.size >= math.min(segment_bytes, e.limit / 16) then next_segment() end
  redis.call('HSET', key('log'), 'events', text(e.number), 'time', text(e.time), 'from', text(e.from), 'start', text(e.start),
    'size', text(e.size))
end

-- An event that outlives the one that holds the request says at least where the message went.
local function with_url(id, detail)
  local url = string.match(redis.call('HGET', key('message', id), 'request') or '', '^{"url":("[^"]*")')
  if not url then return detail end
  return '{"url":' .. url .. (detail == '' and '}' or ',' .. string.sub(detail, 2))
end

-- Writes one event and answers its ref, or nil where nothing is logged. created, before: refs or false. The message's
-- record is still there.
local function log(id, state, created, before, detail, body, now)
  if events == nil then open_log() end
  local e = events
  if not e then return nil end
  -- Refs grow with time. A clock that was set back begins a segment of its own; a little is another node's now.
  if now < e.time and e.time - now >= 1000 then
    next_segment()
    e.time = now
  end
  e.time, e.number, e.changed = math.max(now, e.time), e.number + 1, true
  if e.size == 0 then e.start = e.time end
  if created and tonumber(string.match(created, '%d+$') or '0') < e.from then detail = with_url(id, detail) end
  local ref = text(e.time) .. '-' .. text(e.number)
  local added = redis.pcall('XADD', key('log', e.segment), ref, 'message', id, 'state', state, 'created', created or '',
    'before', before or '', 'detail', detail, 'body', body)
  if type(added) == 'table' and added.err then
    -- A call that failed behind its events has not counted them: go on in a new segment, behind them all.
    set_aside('log ' .. ref .. ': ' .. added.err)
    e.size = e.size + 1
    e.number = e.number + 100000
    next_segment()
    return nil
  end
  e.size = e.size + 150 + #detail + #body
  return ref
end

-- Keeps where the history of a message that has ended ends.
local function log_end(id, ref)
  if not ref then return end
  redis.call('HSET', key('history', events.segment), id, ref)
  events.size = events.size + 130
end
