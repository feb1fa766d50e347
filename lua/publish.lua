#!lua
-- publish: stores new messages. Each item is one publish call with its whole fan-out: all of it is stored or none.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  how long the ids of ended messages stay known, ms
--   ARGV[3]  how long a deduplication id stays taken, ms
--   ARGV[4]  queues at most, 0 for any number
--   ARGV[5]  number of items; then for each item
--              topic       name, or "" for a URL
--              revision    of the topic the fan-out was made from, or ""
--              body        bytes
--              shared      SHA-256 of the body in hex where it is stored once for all messages, or ""
--              logged      how many bytes of the body go to the log
--              messages    their number; then for each message
--                id, lane, due (ms), request (JSON text), gate (see `create` in the prelude), dedup (the hash its
--                deduplication id is kept under, or "")
--            or, where it is one message to a URL with neither of the last two and a body of its own, as most are, "/" (which
--            stands in no topic's name), logged, body, id, lane, due, request
--   ARGV[…]  behind the items may stand a claim of the caller's node, which is given messages by the same call: node, number
--            of the claim, then what `claim` has from its capacity to the lanes to look at
--
--   returns  {"ok", status of each item ...}: "stored" (also where it was stored by an earlier arrival of this
--            call); "topic" (the topic has changed or is gone: nothing of this item is stored, read it again);
--            "queues" (there are as many as may be: nothing of it is stored); or where something was a duplicate, for
--            each message the id of the one it repeats, "" for one that is stored. Behind them what a claim answers, where
--            there was one; a message this call has stored may be {id, place} there, because the caller has the rest; an error
--            where it failed, which changes nothing for the items
--            {"clock", last}: the caller's now lies behind
--   writes   message:<id> messages due lane:<lane> open reopen gate:<lane> queues flows body:<hash> dedup:<hash> ended log
--            log:<n> history:<n> aside sequence counts idle clock; with a claim also what `claim` writes; publishes wake
--
-- Sent again after a lost reply it finds its own ids, living or ended, and changes nothing. It must come without its claim then,
-- which would take more: what that took is asked of `claim` under its number.

local now = clock()
if not now then return clock_refusal() end

local window, most_queues = tonumber(ARGV[3]), tonumber(ARGV[4])
shed_ended(now - tonumber(ARGV[2]))

-- The keys of all messages of the call, in their order, and where what stands behind the items begins.
local keys, behind_items = {}, nil
-- Whether any of the messages may have come before: asked for all of them at once, because none is the rule.
local function is_any_known()
  local ids, number, at = {}, 0, 6
  for _ = 1, tonumber(ARGV[5]) do
    local first, behind = at + 3, at + 7
    if ARGV[at] ~= '/' then first, behind = at + 6, at + 6 + 6 * tonumber(ARGV[at + 5]) end
    for i = first, behind - 1, 6 do
      number = number + 1
      ids[number], keys[number] = ARGV[i], key('message', ARGV[i])
    end
    at = behind
  end
  behind_items = at
  numbers_wanted = math.max(1, number)
  for first = 1, #ids, 500 do
    local last = math.min(first + 499, #ids)
    if redis.call('EXISTS', unpack(keys, first, last)) > 0 then return true end
    for _, ended in ipairs(redis.call('ZMSCORE', key('ended'), unpack(ids, first, last))) do
      if ended then return true end
    end
  end
  return false
end
local any_known = is_any_known()
-- Whose claim it is.
local node = ARGV[behind_items]

local answer, at, number = { 'ok' }, 6, 0
-- What most items are. A lane of theirs has no gate that could be left to look at.
local plain = { shared = '', unwritten = node and {} }
local function store_plain()
  local logged, body, id, lane, due, request = unpack(ARGV, at + 1, at + 6)
  at, number = at + 7, number + 1
  if not (any_known and is_known(id)) then
    plain.text, plain.logged = body, tonumber(logged)
    create(id, lane, due, request, '', plain, now, keys[number])
  end
  answer[#answer + 1] = 'stored'
end

local function store()
  if ARGV[at] == '/' then return store_plain() end
  local topic, revision, body, shared, logged, count = unpack(ARGV, at, at + 5)
  local first, numbered = at + 6, number
  count = tonumber(count)
  at, number = first + 6 * count, numbered + count
  local content = { text = body, shared = shared, logged = tonumber(logged) }
  local before, duplicates, queue = false, {}, nil
  for m = 0, count - 1 do
    local id, dedup = ARGV[first + 6 * m], ARGV[first + 6 * m + 5]
    if any_known and is_known(id) then
      before = true
      -- The call that stored it may have failed behind it.
      local lane = redis.call('HGET', key('message', id), 'lane')
      if lane and is_gated(lane) then touch(lane) end
    elseif dedup ~= '' then
      duplicates[m] = taken(dedup, window, now) or nil
    end
  end
  if before then
    -- What the first arrival found stands, also where the window has ended since.
    for m = 0, count - 1 do
      local id, dedup = ARGV[first + 6 * m], ARGV[first + 6 * m + 5]
      if dedup ~= '' and not duplicates[m] and not is_known(id) then duplicates[m] = taken(dedup, math.huge, 0) or nil end
    end
  else
    local gate = ARGV[first + 4] or ''
    queue = gate ~= '' and match(gate, '^(%S+) ')
    if topic ~= '' and redis.call('HGET', key('topic', topic), 'revision') ~= revision then
      answer[#answer + 1] = 'topic'
      return
    elseif queue and queue ~= '/' and is_queue_too_many(queue, most_queues) then
      answer[#answer + 1] = 'queues'
      return
    end
    for m = 0, count - 1 do
      local id, lane, due, request, gate, dedup = unpack(ARGV, first + 6 * m, first + 6 * m + 5)
      -- Two endpoints of one topic may have the same URL.
      if dedup ~= '' and not duplicates[m] then duplicates[m] = taken(dedup, window, now) or nil end
      if not duplicates[m] then
        create(id, lane, due, request, gate, content, now, keys[numbered + m + 1])
        if dedup ~= '' then take(dedup, id, window, now) end
      end
    end
  end
  if next(duplicates) == nil then
    answer[#answer + 1] = 'stored'
    return
  end
  local ids = {}
  for m = 0, count - 1 do ids[m + 1] = duplicates[m] or '' end
  answer[#answer + 1] = ids
end

-- What this call opens its own claim finds, if it comes to that.
is_claimed_next = is_claimed_next or node
local fine, problem = pcall(function()
  for _ = 1, tonumber(ARGV[5]) do store() end
end)

-- Answers what a new claim would.
local function claim()
  if not is_alive(node, now) then return { 'expired' } end
  open_touched(now)
  local _, give = giving(node, ARGV[behind_items + 1], behind_items + 2, now, plain.unwritten)
  return give('', true, false)
end

if node then
  local given
  if fine then
    local claimed
    claimed, given = pcall(claim)
    if not claimed then given = redis.error_reply(problem_text(given)) end
    answer[#answer + 1] = given
  end
  -- Those the node was not given.
  for _, record in pairs(plain.unwritten) do write_plain('waiting', nil, unpack(record)) end
  if not given or given[1] ~= 'ok' then
    is_claimed_next = false
    wake()
  end
end
finish(now)
if not fine then return redis.error_reply(problem_text(problem)) end
return answer
