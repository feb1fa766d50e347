#!lua flags=allow-oom
-- log_history: the events of one message, the latest first, found by following them back. Changes nothing.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  message id
--   ARGV[3]  "" to begin with its last event, or the ref to begin with
--   ARGV[4]  how many at most
--
--   returns  {"ok", next, {event ...}, {ref, request}}: next is the ref to go on with, or ""; see log_scan
--   writes   nothing

local all = segments()
local ref = ARGV[3]
if ref == '' then
  local living = redis.pcall('HMGET', key('message', ARGV[2]), 'created', 'event')
  ref = living[2] or living[1]
  -- One that has ended: its last event tells, wherever the segments stand by now.
  for i = #all, 1, -1 do
    local ended = redis.call('HGET', key('history', all[i][1]), ARGV[2])
    if ended then
      ref = ended
      break
    end
  end
end

local found, first = {}, nil
while ref and ref ~= '' and #found < tonumber(ARGV[4]) do
  local event = read_event(all, ref)
  if not event or event[2] ~= ARGV[2] then
    ref = ''
    break
  end
  if event[3] == 'CREATED' then
    event[4], first = event[1], event
  elseif not first then
    first = read_event(all, event[4])
  end
  local detail = event[3] == 'CREATED' and '' or event[6]
  found[#found + 1] = { event[1], event[2], event[3], event[4], event[5], detail }
  -- The `before` of a CREATED is another message's.
  ref = event[3] ~= 'CREATED' and event[5] or ''
end
return { 'ok', ref or '', found, first and { first[1], first[6] } or {} }
