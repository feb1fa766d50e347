#!lua flags=allow-oom
-- reclaim: gives what a dead node held a new life. A node is dead when its lease lies before the caller's own now,
-- never before the root's last: after an outage nobody may be taken for dead by a clock that ran on elsewhere.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  the node that asks
--   ARGV[3]  how many messages at most
--
--   returns  {"ok", reclaimed, more}: more is 1 where dead nodes still hold something
--            {"clock", last}
--   writes   lane:<lane> again:<lane> active:<node> share:<node> message:<id> messages due ended nodes open log log:<n> history:<n>
--            sequence counts idle clock aside; publishes wake

local now = clock()
if not now then return clock_refusal() end

local most, taken = tonumber(ARGV[3]), 0
local asked_at = string.match(ARGV[1], '^%d+')
local ended = redis.call('ZRANGE', key('nodes'), '-inf', '(' .. asked_at, 'BYSCORE', 'LIMIT', 0, 10)
-- Looked at; whether they are empty shows when all is written.
local seen = {}
for _, node in ipairs(ended) do
  if node ~= ARGV[2] and taken < most then
    seen[#seen + 1] = node
    for _, held in ipairs(held_by(node)) do
      if taken >= most then break end
      if give_back(node, held.id, held.place, true, now) then taken = taken + 1 end
    end
  end
end
finish(now)
for _, node in ipairs(seen) do
  if redis.call('HLEN', key('active', node)) == 0 then
    redis.call('ZREM', key('nodes'), node)
    redis.call('DEL', key('share', node))
  end
end
return { 'ok', taken, taken >= most and 1 or 0 }
