#!lua flags=allow-oom
-- claim: gives a node messages to deliver, lane by lane around the ring.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  node
--   ARGV[3]  claim number, one higher for each new claim of this node
--   ARGV[4]  "resent" where a claim of this number was sent before and not answered; "follows" where the call before left
--            it to this one to wake who sleeps; else ""
--   ARGV[5]  capacity of the node: requests in flight at most
--   ARGV[6]  share: a lane starts only while it has fewer in flight on this node than share x what is free
--   ARGV[7]  messages at most in this answer
--   ARGV[8]  bytes at most (the first message goes however large it is)
--   ARGV[9]  entries from one lane before the next has its turn
--   ARGV[10] lanes to look at in this call at most
--   ARGV[11] round: "" to begin one, else what the call before answered
--
--   returns  {"ok", round, capped, message ...}, a message being
--              {id, place, retried, reclaimed, request, body, due}
--            where place is what `settle` must name; or with a large body, which the node reads for itself, because Redis's
--            Lua looks at each byte that goes through it:
--              {id, place, retried, reclaimed, request, "", due, the name of its body:<name>, the body's bytes}
--            round: "" when the node has seen the whole ring and may sleep,
--            "full" when its capacity is used up (claim again after a settle), else call again with it ("new" where
--            the answer was full and a new round begins). capped: 1 where a lane looked at may start more only
--            after one of its own has ended on this node (claim again after a settle)
--            {"expired"}: the node's lease has ended or was never taken; renew first
--            {"clock", last}
--   writes   lane:<lane> again:<lane> active:<node> share:<node> message:<id> gate:<lane> held:<lane> open reopen idle
--            log log:<n> history:<n> sequence counts clock aside; for a message whose record can't be used also messages ended
--            states:<id> waits:<id> body:<hash>; publishes wake
--
-- It never fails on data: a lane without a stream leaves the ring, an entry without a readable record is removed
-- and set aside. A resent claim answers what its number took before.

local now = clock()
if not now then return clock_refusal() end

local node, number = ARGV[2], ARGV[3]
if not is_alive(node, now) then return { 'expired' } end

local resend, give = giving(node, number, 5, now)
return ARGV[4] == 'resent' and resend() or give(ARGV[11], ARGV[4] == 'follows', true)
