#!lua flags=allow-oom
-- collect: removes what is kept for a time only, a bounded piece at a time.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  how long a delivered message stays readable, ms
--   ARGV[3]  how long the ids of ended messages stay known, ms
--   ARGV[4]  how long a dead letter is kept, ms
--   ARGV[5]  how long the log is kept, ms
--   ARGV[6]  how many of each at most
--
--   returns  {"ok", removed, more}: more is 1 where a limit was reached
--            {"clock", last}
--   writes   finished message:<id> counts ended dead dead:<dlqId> body:<hash> flows gate:<lane> held:<lane>
--            log log:<n> history:<n> aside clock

local now = clock()
if not now then return clock_refusal() end

local most, removed, more = tonumber(ARGV[6]), 0, 0

local function older_than(set, age)
  local found = redis.call('ZRANGE', key(set), '-inf', text(now - tonumber(age)), 'BYSCORE', 'LIMIT', 0, most)
  if #found >= most then more = 1 end
  removed = removed + #found
  return found
end

for _, id in ipairs(older_than('finished', ARGV[2])) do
  local message = key('message', id)
  local record = redis.pcall('HMGET', message, 'shared', 'size')
  release_body(record[1])
  redis.call('DEL', message)
  redis.call('HINCRBY', key('counts'), 'finishedBytes', -tonumber(record[2] or '0'))
  redis.call('ZREM', key('finished'), id)
  remember_ended(id, now)
end
for _, id in ipairs(older_than('dead', ARGV[4])) do
  drop_dead(id)
end
-- A segment goes when all of it is old enough, and all of them where nothing is logged any more; the one that is written is
-- closed in time, so that it goes, too.
open_log()
local keep = events.limit > 0 and tonumber(ARGV[5]) or 0
if events.size > 0 and now - events.start >= keep / 16 then next_segment() end
for _ = 1, 10 do
  local first = redis.call('HGET', key('log'), redis.call('HGET', key('log'), 'first') or '1')
  local stop = first and tonumber(string.match(first, '^%d+ %d+ %d+ (%d+) %d+$'))
  if not stop or stop > now - keep or not drop_segment(false) then break end
  removed = removed + 1
end
-- Flow keys come by use and go when unused for a day and their window has ended; a few are looked at each time, more
-- where many of them are old.
local gone = 0
for _, flow in ipairs(redis.call('SRANDMEMBER', key('flows'), 20)) do
  local gate = key('gate', 'flow:' .. flow)
  local g = redis.call('HMGET', gate, 'messages', 'paused', 'pinnedParallelism', 'pinnedRate', 'used', 'windowStart', 'period')
  local unused = now - tonumber(g[5] or '0') > 86400000
  if tonumber(g[6] or '0') + 1000 * tonumber(g[7] or '1') > now then unused = false end
  if unused and tonumber(g[1] or '0') <= 0 and not g[2] and not g[3] and not g[4] then
    redis.call('DEL', gate, key('held', 'flow:' .. flow))
    redis.call('SREM', key('flows'), flow)
    removed, gone = removed + 1, gone + 1
  end
end
if gone >= 5 then more = 1 end
finish(now)
shed_ended(now - tonumber(ARGV[3]))
return { 'ok', removed, more }
