#!lua flags=allow-oom
-- queue_delete: removes a queue and cancels what it holds, a page at a time; what is in flight ends by itself, and a queue
-- made again under the name waits for it. Until the last page the lane is closed.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  name
--   ARGV[3]  "delete" to begin, "sweep" to go on with one that was begun
--   ARGV[4]  how many messages at most
--   ARGV[5]  call, with "delete": the same for every arrival of one request
--
--   returns  {"ok", cancelled, more}: call again with "sweep" while more is 1
--            {"clock", last}
--   writes   queues deleting gate:<lane> lane:<lane> again:<lane> held:<lane> message:<id> messages due open reopen waits:<id>
--            states:<id> ended receipt:<call> body:<hash> log log:<n> history:<n> aside sequence counts idle clock; publishes wake

local now = clock()
if not now then return clock_refusal() end

local name, most = ARGV[2], tonumber(ARGV[4])
local lane = 'queue:' .. name
local gate = key('gate', lane)

if ARGV[3] == 'delete' then
  local receipt = redis.call('GET', key('receipt', ARGV[5]))
  if receipt then
    local counted, left = string.match(receipt, '^(%d+) (%d)$')
    return { 'ok', tonumber(counted), tonumber(left) }
  end
  if redis.call('SREM', key('queues'), name) == 0 then return { 'ok', 0, 0 } end
  local messages = redis.call('HGET', gate, 'messages') or '0'
  redis.call('DEL', gate)
  redis.call('HSET', gate, 'messages', messages, 'deletedTo', redis.call('INCR', key('sequence')))
  redis.call('SADD', key('deleting'), name)
end

-- A sweep that comes when another has ended would find what was published since.
local limit = tonumber(redis.call('HGET', gate, 'deletedTo') or '0')
if limit == 0 then
  redis.call('SREM', key('deleting'), name)
  return { 'ok', 0, 0 }
end
local cancelled, more = 0, 0

local function drop(id)
  if not cancel_waiting(id, now) then return false end
  cancelled = cancelled + 1
  return true
end

-- Those that hold a slot: between retries, behind a flow key, handed back.
for _, id in ipairs(redis.call('SMEMBERS', key('held', lane))) do
  if cancelled >= most then more = 1 break end
  drop(id)
end

local stream = lane_stream(lane)
if more == 0 and redis.call('XLEN', stream) > 0 then
  local last = redis.call('XINFO', 'GROUPS', stream)[1][8]
  local waiting_ones = redis.call('XRANGE', stream, '(' .. last, text(limit) .. '-0', 'COUNT', most - cancelled + 1)
  for _, entry in ipairs(waiting_ones) do
    if cancelled >= most then more = 1 break end
    if not drop(entry[2][2]) then remove_entry(stream, lane, entry[1], false) end
  end
end

if more == 0 then
  redis.call('SREM', key('deleting'), name)
  redis.call('HDEL', gate, 'deletedTo')
  if redis.call('SISMEMBER', key('queues'), name) == 0 and tonumber(redis.call('HGET', gate, 'messages') or '0') <= 0 then
    redis.call('DEL', gate)
  end
end
-- The first page closes the gate, the last one opens it.
touch(lane)
finish(now)
if ARGV[3] == 'delete' then redis.call('SET', key('receipt', ARGV[5]), cancelled .. ' ' .. more, 'PX', 120000) end
return { 'ok', cancelled, more }
