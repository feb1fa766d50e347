#!lua flags=allow-oom
-- stats_add: counts what one process did in the last seconds to the plots of the console. Bounded: two hours of minutes.
-- Not fenced: a call that arrives twice makes a plot too high for a minute, and nothing else reads it.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2…] field, number, …
--
--   returns  {"ok"}
--            {"clock", last}
--   writes   stats:<minute>, clock

local now = clock()
if not now then return clock_refusal() end

local minute = key('stats', text(math.floor(now / 60000)))
for i = 2, #ARGV, 2 do redis.call('HINCRBY', minute, ARGV[i], ARGV[i + 1]) end
redis.call('EXPIRE', minute, 7200)
return { 'ok' }
