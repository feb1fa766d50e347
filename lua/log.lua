-- The second part of the prelude: the log, what happened to messages. Its events stand in segments, streams that are
-- dropped whole, the oldest first, by age or when all of them together are too large. It is the first thing to go when
-- memory is short; a message is never refused because of it. Whatever script logs may write log, log:<n>, history:<n>
-- and aside.
--
--   log          hash: limit (bytes of all segments, 0: nothing is logged), first (the oldest segment), bytes (of all that
--                are closed), shed and shedBytes (events that went because memory was short), head (of the segment that
--                is written: "<segment> <events ever> <ms of the last> <its first event> <ms of that> <its bytes>"),
--                <n>: "<first event> <events> <first ms> <last ms> <bytes>" of a closed one
--   log:<n>      stream: events as <ms>-<number of the event>, the ref of an event. Always the same six fields, which
--                costs a stream nothing: message, state, created and before (refs of its first event and of the one
--                before), detail (JSON text: the request with CREATED, the answer with ERROR; the url where the first
--                event is in an earlier segment), body (cut). The CREATED of a fan-out's further messages names the one
--                that has the body as its `before`.
--                Further events of one call and one state with neither detail nor body (most ACTIVE and DELIVERED) share
--                an entry, numbered on from its id: state, then for each the message and "<created> <before>", or
--                "<created>" where that is the one before, too. Each costs a third of an entry of its own
--   history:<n>  hash: id of a message that ended in that segment -> ref of its last event. A living one has it itself.

local segment_bytes = 4194304

local key, match = key, match

-- nil until the log is first looked at in this call.
local events

local function open_log()
  local l = redis.call('HMGET', key('log'), 'limit', 'head')
  local segment, number, time, from, start, size = string.match(l[2] or '1 0 0 1 0 0', '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
  events = {
    limit = tonumber(l[1] or '268435456'), segment = tonumber(segment), number = tonumber(number), time = tonumber(time),
    from = tonumber(from), start = tonumber(start), size = tonumber(size),
  }
end

local function write_head()
  local e = events
  redis.call('HSET', key('log'), 'head',
    format('%d %d %d %d %d %d', e.segment, e.number, e.time, e.from, e.start, e.size))
end

-- The stream of the segment that is written.
local function segment_stream(e)
  if e.stream_of ~= e.segment then e.stream_of, e.stream = e.segment, key('log', e.segment) end
  return e.stream
end

-- The oldest segment goes, if it is not the one that is written. Answers its events, or nil; `shed`: memory is short.
local function drop_segment(shed)
  local first = tonumber(redis.call('HGET', key('log'), 'first') or '1')
  if first >= events.segment then return nil end
  local count, bytes = string.match(redis.call('HGET', key('log'), first) or '', '^%d+ (%d+) %d+ %d+ (%d+)$')
  redis.call('UNLINK', key('log', first), key('history', first))
  redis.call('HDEL', key('log'), first)
  redis.call('HSET', key('log'), 'first', first + 1)
  redis.call('HINCRBY', key('log'), 'bytes', -tonumber(bytes or '0'))
  if shed then
    redis.call('HINCRBY', key('log'), 'shed', count or 0)
    redis.call('HINCRBY', key('log'), 'shedBytes', bytes or 0)
  end
  return tonumber(count or '0')
end

-- Begins the next segment, whose first event is the next one; those that are too many go, a few at a time.
local write_quiet
local function next_segment()
  local e = events
  write_quiet(e)
  if e.size == 0 then return end
  -- What belongs to the segment is written while it is there.
  write_deferred()
  local count = e.number - e.from + 1
  redis.call('HSET', key('log'), e.segment, format('%d %d %d %d %d', e.from, count, e.start, e.time, e.size))
  local bytes = redis.call('HINCRBY', key('log'), 'bytes', text(e.size))
  e.segment, e.from, e.start, e.size, e.is_sure = e.segment + 1, e.number + 1, 0, 0, false
  write_head()
  for _ = 1, 10 do
    if bytes <= e.limit or not drop_segment(false) then break end
    bytes = tonumber(redis.call('HGET', key('log'), 'bytes'))
  end
end

-- Whoever logs calls it before it answers.
local function close_log()
  local e = events
  if not e or not e.changed then return end
  write_quiet(e)
  if e.size >= math.min(segment_bytes, e.limit / 16) then next_segment() end
  write_head()
  e.changed = false
end

-- An event that outlives the one that holds the request says at least where the message went.
local function with_url(id, detail, request)
  local url = match(request or redis.call('HGET', key('message', id), 'request') or '', '^{"url":("[^"]*")')
  if not url then return detail end
  return '{"url":' .. url .. (detail == '' and '}' or ',' .. string.sub(detail, 2))
end

-- The number in a ref: behind thirteen digits of milliseconds, from the year 2001 to 2286.
local function event_number(ref)
  return tonumber(string.sub(ref, 15)) or tonumber(match(ref, '^%d+%-(%d+)') or '0')
end

local function new_ref(e) return text(e.time) .. '-' .. text(e.number) end

-- An event that shares its entry with others of its kind; written before any of another kind, and at the call's end.
local function add_quiet(e, id, state, created, before)
  local ref, call = new_ref(e), e.quiet
  local last = call and #call
  if call and (call[5] ~= state or last > 64) then
    write_quiet(e)
    call = nil
  end
  if not call then
    call, last = { 'XADD', segment_stream(e), ref, 'state', state }, 5
    e.quiet, e.size = call, e.size + 100
  end
  call[last + 1] = id
  call[last + 2] = created == before and created or (created or '') .. ' ' .. (before or '')
  e.size = e.size + 90
  return ref
end
function write_quiet(e)
  local call = e.quiet
  if not call then return end
  e.quiet = nil
  local added = redis.pcall(unpack(call))
  if type(added) == 'table' and added.err then set_aside('log ' .. call[3] .. ': ' .. added.err) end
end

-- Answers the ref of the event, and the error where there is one.
local function add_event(e, id, state, created, before, detail, body)
  local ref = new_ref(e)
  local added = redis.pcall('XADD', segment_stream(e), ref, 'message', id, 'state', state, 'created', created or '',
    'before', before or '', 'detail', detail, 'body', body)
  return ref, type(added) == 'table' and added.err
end

-- Writes one event and answers its ref, or nil where nothing is logged. created, before: refs or false. The message's
-- record is still there; its request, where the caller has it at hand.
local function log(id, state, created, before, detail, body, now, request)
  if not events then open_log() end
  local e = events
  if e.limit <= 0 then return nil end
  -- Refs grow with time. A clock that was set back begins a segment of its own; a little is another node's now.
  if now < e.time and e.time - now >= 1000 then
    next_segment()
    e.time = now
  end
  e.time, e.number, e.changed = math.max(now, e.time), e.number + 1, true
  if e.size == 0 then e.start = e.time end
  if created and event_number(created) < e.from then detail = with_url(id, detail, request) end
  -- Once an event of this call stands in the segment, those behind it can't fail.
  if e.is_sure and detail == '' and body == '' then return add_quiet(e, id, state, created, before) end
  write_quiet(e)
  local ref, problem = add_event(e, id, state, created, before, detail, body)
  if problem then
    -- A call that failed behind its events has not counted them: go on behind them all, in a new segment.
    set_aside('log ' .. ref .. ': ' .. problem)
    e.number, e.size = e.number - 1, math.max(e.size, 1)
    next_segment()
    e.number, e.start = e.number + 100000, e.time
    e.from = e.number
    ref, problem = add_event(e, id, state, created, before, detail, body)
    if problem then return nil end
  end
  e.is_sure = true
  e.size = e.size + 150 + #detail + #body
  return ref
end

-- Keeps where the history of a message that has ended ends.
local function log_end(id, ref)
  if not ref then return end
  defer('HSET', key('history', events.segment), id, ref)
  events.size = events.size + 130
end
