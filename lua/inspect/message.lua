-- message: one message, where it is and why, and what the log knows of it.
--
--   redis-cli --eval lua/inspect/message.lua 'roost:{0}' , msg_...
--
-- Read only.

local root, id = KEYS[1], ARGV[1]
if not id then return redis.error_reply("give a message id: … 'roost:{0}' , msg_...") end
local page = {}
local function line(...) page[#page + 1] = string.format(...) end
local function key(name) return root .. ':' .. name end

-- {state, before, detail} of an event of this message, or nil. Events of one call may share an entry and are numbered on from
-- its id (lua/log.lua).
local function event_at(segment, ref)
  local entry = redis.call('XREVRANGE', key('log:' .. segment), ref, '-', 'COUNT', 1)[1]
  if not entry then return nil end
  local f = entry[2]
  if f[1] == 'message' then return entry[1] == ref and { f[4], f[8], f[10] } or nil end
  local index = string.match(ref, '%d+$') - string.match(entry[1], '%d+$')
  if f[2 * index + 3] ~= id then return nil end
  return { f[2], string.match(f[2 * index + 4], '(%S*)$'), '' }
end

-- The log, the latest event first: refs are <ms>-<number>, and each segment says which numbers it holds.
local function history(last)
  local head = redis.call('HGET', key('log'), 'head') or '1 0 0 1 0 0'
  local first_segment = tonumber(redis.call('HGET', key('log'), 'first') or '1')
  local segment, from = string.match(head, '^(%d+) %d+ %d+ (%d+)')
  segment, from = tonumber(segment), tonumber(from)
  if not last then
    for n = segment, first_segment, -1 do
      last = redis.call('HGET', key('history:' .. n), id)
      if last then break end
    end
  end
  local shown = 0
  while last and last ~= '' and shown < 20 do
    local number = tonumber(string.match(last, '%-(%d+)$') or '0')
    while number < from and segment > first_segment do
      segment = segment - 1
      from = tonumber(string.match(redis.call('HGET', key('log'), segment) or '0', '^%d+'))
    end
    local event = event_at(segment, last)
    if not event then break end
    local state, before, detail = unpack(event)
    line('%-10s %s %s%s', shown == 0 and 'log' or '', string.match(last, '^%d+'), state,
      state ~= 'CREATED' and detail ~= '' and ' ' .. string.sub(detail, 1, 200) or '')
    last, shown = state ~= 'CREATED' and before, shown + 1
  end
  return shown
end

local fields = redis.pcall('HGETALL', key('message:' .. id))
if fields.err then
  line('%s is a %s and no record: somebody else wrote it', key('message:' .. id), redis.call('TYPE', key('message:' .. id)).ok)
  history()
  return page
elseif #fields == 0 then
  local ended = redis.call('ZSCORE', key('ended'), id)
  if ended then line('%s ended at %.0f', id, tonumber(ended)) else line('%s is not alive', id) end
  if history() > 0 or ended then return page end
  return { id .. ' is not here: never stored, or ended a while ago (dead letters: ZRANGE ' .. key('dead') .. ' 0 -1)' }
end
local record = {}
for i = 1, #fields, 2 do record[fields[i]] = fields[i + 1] end

line('id         %s', id)
line('state      %s', record.state or 'missing')
if record.state == 'delivered' then
  line('where      ended, its last place was %s', record.place or 'unknown')
elseif record.place == 'due' then
  line('where      waits in %s until %s', key('due'), record.due)
elseif record.place then
  local stream, entry = string.match(record.place, '^(%S+) (%S+)$')
  if record.state == 'waiting' then
    line('where      waits its turn in %s, entry %s', stream or '?', entry or '?')
  else
    line('where      in flight, entry %s of %s', entry or '?', stream or '?')
    for _, node in ipairs(redis.call('ZRANGE', key('nodes'), 0, -1)) do
      if redis.call('HEXISTS', key('active:' .. node), id) == 1 then line('held by    %s', node) end
    end
  end
end
if record.lane then line('lane       %s', record.lane) end
line('retried    %s', record.retried or '0')
if record.reclaimed then line('reclaimed  %s', record.reclaimed) end
if record.error then line('last error %s', record.error) end
line('request    %s', record.request or 'missing')
if record.shared then
  line('body       %d bytes, shared in %s by %s messages', redis.call('HSTRLEN', key('body:' .. record.shared), 'text'),
    key('body:' .. record.shared), redis.call('HGET', key('body:' .. record.shared), 'holders') or '0')
else
  line('body       %d bytes', #(record.body or ''))
end
-- The record of one that has ended does not name its last event any more.
history(record.state ~= 'delivered' and (record.event or record.created))
return page
