#!lua flags=allow-oom
-- why: what one message waits for. Changes nothing.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  message id
--   ARGV[3]  capacity of a node: requests in flight at most
--   ARGV[4]  share: a lane starts only while it has fewer in flight on a node than share x what is free there
--
--   returns  {"ok", reason, subject, number, retried, last error or ""}, the first reason that holds:
--              none       no such live message
--              active     in flight; subject: the node
--              ended      delivered, still readable
--              time       until number (ms)
--              paused     subject: the lane, queue:<name> or flow:<key>
--              slot       subject: the lane, number: its slots, all held
--              behind     subject: the message that holds the queue's only slot
--              head       subject: the message at the head of the queue, which waits until number (ms)
--              rate       subject: the lane, number: the end of the window (ms)
--              nobody     no node that delivers is alive
--              share      subject: the lane, number: its requests in flight; no node may start more of it before one ends
--              order      subject: the lane, number: entries before it, counted up to 1000
--              turn       subject: the lane: it is its turn as soon as a node has room
--            {"clock", last}
--   writes   clock

local now = clock()
if not now then return clock_refusal() end

local id = ARGV[2]
local r = redis.pcall('HMGET', key('message', id), 'state', 'place', 'due', 'lane', 'queue', 'flow', 'retried', 'error')
local state, place, due, lane, queue, flow = r[1], r[2], r[3], r[4], r[5], r[6]

local function answer(reason, subject, number)
  return { 'ok', reason, subject or '', number and text(number) or '0', r[7] or '0', r[8] or '' }
end

-- The full name of a flow key stands in its gate.
local function shown(name) return string.match(name, '^%l+:') .. (redis.call('HGET', key('gate', name), 'name') or string.match(name, ':(.*)$')) end

if not state then return answer('none') end
if state == 'active' then
  for _, node in ipairs(redis.call('ZRANGE', key('nodes'), 0, 99)) do
    if redis.call('HEXISTS', key('active', node), id) == 1 then return answer('active', node) end
  end
  return answer('active')
end
if state ~= 'waiting' then return answer('ended') end
local own = tonumber(due or '0')
if place == 'due' then return answer('time', '', own) end

local stream, entry = string.match(place or '', '^(%S+) (%S+)$')
local again = queue and redis.call('SISMEMBER', key('held', 'queue:' .. queue), id) == 1
for _, gated in ipairs({ queue and 'queue:' .. queue or false, flow and 'flow:' .. flow or false }) do
  if gated then
    local gate = read_gate(gated, now)
    if gate.paused then return answer('paused', shown(gated)) end
    local holds = redis.call('SISMEMBER', key('held', gated), id) == 1
    if not holds and not slot_free(gate, gated) then
      if is_queue(gated) and gate.parallelism == 1 then
        return answer('behind', redis.call('SRANDMEMBER', key('held', gated)))
      end
      return answer('slot', shown(gated), gate.parallelism)
    end
    if not rate_allows(gate) then return answer('rate', shown(gated), gate.window_end) end
  end
end
if not stream then return answer('turn', lane or '') end
local of = string.match(stream, ':%l+:(.*)$') or lane or ''
local _, last = waiting(stream)
local before = redis.call('XRANGE', stream, '(' .. last, '(' .. entry, 'COUNT', 1000)
if is_queue(of) and not again then
  local head = before[1]
  local at = head and tonumber(head[2][4]) or own
  if at > now then
    if head then return answer('head', head[2][2], at) end
    return answer('time', '', at)
  end
end
local name = is_gated(of) and shown(of) or of
local capacity, share = tonumber(ARGV[3]), tonumber(ARGV[4])
local held_by_all, has_room = 0, false
local nodes = redis.call('ZRANGE', key('nodes'), text(now), '+inf', 'BYSCORE', 'LIMIT', 0, 100)
for _, node in ipairs(nodes) do
  local held = tonumber(redis.call('HGET', key('share', node), of) or '0')
  held_by_all = held_by_all + held
  has_room = has_room or held < share * (capacity - redis.call('HLEN', key('active', node)))
end
if #nodes == 0 then return answer('nobody') end
if not has_room then return answer('share', name, held_by_all) end
if #before > 0 then return answer('order', name, #before) end
return answer('turn', name)
