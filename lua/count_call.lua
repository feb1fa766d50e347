#!lua flags=allow-oom
-- count_call: counts calls, or what they bring, in a fixed window, for rate limits of the API.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  name of what is limited
--   ARGV[3]  how many this call brings
--   ARGV[4]  how many there may be in one window
--   ARGV[5]  length of the window, ms; windows begin at its multiples
--
--   returns  {"ok", left, reset} or {"over", left, reset}: what is left of the window, and when it ends in ms; one that
--            would go over counts nothing
--            {"clock", last}
--            One that is sent again after a lost reply counts twice: a limit may be reached early, never late.
--   writes   calls:<name>:<window> clock

local now = clock()
if not now then return clock_refusal() end

local brings, most, length = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local window = math.floor(now / length)
local counter = key('calls', ARGV[2] .. ':' .. text(window))
local used = tonumber(redis.call('GET', counter) or '0')
local reset = (window + 1) * length
if used + brings > most then return { 'over', math.max(0, most - used), reset } end
redis.call('SET', counter, text(used + brings), 'PX', text(2 * length))
return { 'ok', most - used - brings, reset }
