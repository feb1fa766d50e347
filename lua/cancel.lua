#!lua flags=allow-oom
-- cancel: ends messages that wait, at once; asks those in flight to end with their attempt.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  call: the same for every arrival of one request
--   ARGV[3…] ids
--
--   returns  {"ok", cancelled}; the same answer when the call arrives again
--            {"clock", last}
--   writes   message:<id> messages due lane:<lane> again:<lane> open reopen gate:<lane> held:<lane> waits:<id> states:<id>
--            ended receipt:<call> log log:<n> history:<n> aside sequence counts clock; publishes wake

local now = clock()
if not now then return clock_refusal() end

local receipt = redis.call('GET', key('receipt', ARGV[2]))
if receipt then return { 'ok', tonumber(receipt) } end

local cancelled = 0
for i = 3, #ARGV do
  local id = ARGV[i]
  if cancel_waiting(id, now) then
    cancelled = cancelled + 1
  else
    local record = redis.pcall('HMGET', key('message', id), 'state', 'created', 'event')
    if record[1] == 'active' then
      local ref = log(id, 'CANCEL_REQUESTED', record[2], record[3] or record[2], '', '', now)
      redis.call('HSET', key('message', id), 'state', 'cancelling')
      if ref then redis.call('HSET', key('message', id), 'event', ref) end
      cancelled = cancelled + 1
    end
  end
end
finish(now)
redis.call('SET', key('receipt', ARGV[2]), cancelled, 'PX', 120000)
return { 'ok', cancelled }
