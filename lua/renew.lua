#!lua flags=allow-oom
-- renew: says that a node is alive, and finds what a lost claim reply left behind.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  node
--   ARGV[3]  the node is believed alive until, ms
--   ARGV[4]  "extend": only that; or the number of the last claim before the first whose reply was not read: then what the
--            node holds by that claim or an earlier one, and is not named below, goes back to the front of its lane
--   ARGV[5…] ids the node knows: those whose settle reply it has not read
--
--   returns  {"ok", next, open, given back}: the earliest due time in ms or "", lanes in the ring, ids given back
--            {"clock", last}
--   writes   nodes; with a number also lane:<lane> again:<lane> active:<node> share:<node> message:<id> messages
--            due ended open log log:<n> history:<n> sequence counts idle clock aside

local now = clock()
if not now then return clock_refusal() end

local node, given = ARGV[2], 0
redis.call('ZADD', key('nodes'), ARGV[3], node)
if ARGV[4] ~= 'extend' then
  local known, last = {}, tonumber(ARGV[4])
  for i = 5, #ARGV do known[ARGV[i]] = true end
  for _, held in ipairs(held_by(node, known)) do
    local _, _, _, claim = read_place(held.place)
    -- What can't be read goes back, too.
    if (tonumber(claim or '') or last) <= last then
      if give_back(node, held.id, held.place, false, now) then given = given + 1 end
    end
  end
end
finish(now)
return { 'ok', next_due(), redis.call('ZCARD', key('open')), given }
