#!lua flags=allow-oom
-- hand_back: a node that stops gives back what it could not finish; it goes first in its lane, in the old order.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  node
--   ARGV[3]  how many at most
--
--   returns  {"ok", given back, left}; where nothing is left the node is gone from `nodes`
--            {"clock", last}
--   writes   lane:<lane> again:<lane> active:<node> share:<node> message:<id> messages due ended nodes open log log:<n> history:<n>
--            sequence counts idle clock aside; publishes wake

local now = clock()
if not now then return clock_refusal() end

local node, given = ARGV[2], 0
for i, held in ipairs(held_by(node)) do
  if i > tonumber(ARGV[3]) then break end
  if give_back(node, held.id, held.place, false, now) then given = given + 1 end
end
finish(now)
local left = redis.call('HLEN', key('active', node))
if left == 0 then
  redis.call('ZREM', key('nodes'), node)
  redis.call('DEL', key('share', node))
end
return { 'ok', given, left }
