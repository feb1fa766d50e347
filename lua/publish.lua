#!lua
-- publish: stores new messages. Each item is one publish call with its whole fan-out: all of it is stored or none.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  how long the ids of ended messages stay known, ms
--   ARGV[3]  number of items; then for each item
--              topic       name, or "" for a URL
--              revision    of the topic the fan-out was made from, or ""
--              body        bytes
--              shared      SHA-256 of the body in hex where it is stored once for all messages, or ""
--              messages    their number; then for each message
--                id, lane, due (ms), request (JSON text), gate (see `create` in the prelude)
--
--   returns  {"ok", status of each item ...}: "stored" (also where it was stored by an earlier arrival of this
--            call) or "topic" (the topic has changed or is gone: nothing of this item is stored, read it again)
--            {"clock", last}: the caller's now lies behind
--   writes   message:<id> messages due lane:<lane> open reopen gate:<lane> queues flows body:<hash> ended sequence counts idle
--            clock; publishes wake
--
-- Sent again after a lost reply it finds its own ids, living or ended, and changes nothing.

local now = clock()
if not now then return clock_refusal() end

shed_ended(now - tonumber(ARGV[2]))

local function known(id)
  return redis.call('EXISTS', key('message', id)) == 1 or redis.call('ZSCORE', key('ended'), id)
end

local answer, at = { 'ok' }, 4
local function store()
  local topic, revision, body, shared, count = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4])
  at = at + 5
  if known(ARGV[at]) then
    -- The call that stored it may have failed behind it.
    local lane = redis.call('HGET', key('message', ARGV[at]), 'lane')
    if lane and is_gated(lane) then touch(lane) end
    answer[#answer + 1] = 'stored'
  elseif topic ~= '' and redis.call('HGET', key('topic', topic), 'revision') ~= revision then
    answer[#answer + 1] = 'topic'
  else
    for m = 0, count - 1 do
      local id, lane, due, request, gate = unpack(ARGV, at + 5 * m, at + 5 * m + 4)
      create(id, lane, due, request, body, shared, gate, now)
    end
    answer[#answer + 1] = 'stored'
  end
  at = at + 5 * count
end

local fine, problem = true, nil
for _ = 1, tonumber(ARGV[3]) do
  fine, problem = pcall(store)
  if not fine then break end
end
open_touched(now)
if not fine then return redis.error_reply(problem_text(problem)) end
return answer
