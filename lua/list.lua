#!lua flags=allow-oom
-- list: one page of the live messages, or of the dead letters, without their bodies. Changes nothing.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  "messages" or "dead"
--   ARGV[3]  "latestFirst" or "earliestFirst"
--   ARGV[4]  cursor: "" to begin, or "<score> <member>" to go on behind it
--   ARGV[5]  the earliest score and
--   ARGV[6]  the latest, ms, "-inf" and "+inf" for any
--   ARGV[7]  how many at most
--   ARGV[8]  bytes at most (the first goes however large it is)
--
--   returns  {"ok", more, row ...}: more is 1 where the list goes on behind the last row; a row being {member, score,
--            message id, state or "", request (JSON text), status of a dead letter's last response, or of a live
--            message how often it was retried, or ""; bytes of a dead letter's bodies}
--            {"clock", last}
--   writes   clock

local now = clock()
if not now then return clock_refusal() end

local dead, reverse = ARGV[2] == 'dead', ARGV[3] == 'latestFirst'
local set, earliest, latest = key(ARGV[2]), ARGV[5], ARGV[6]
local most, most_bytes, bytes = tonumber(ARGV[7]), tonumber(ARGV[8]), 0

-- Ranks of the range, and where in it to begin.
local low, high = redis.call('ZCOUNT', set, '-inf', '(' .. earliest), redis.call('ZCOUNT', set, '-inf', latest) - 1
if earliest == '-inf' then low = 0 end
local at = reverse and high or low
if ARGV[4] ~= '' then
  local score, member = string.match(ARGV[4], '^(%S+) (.*)$')
  local behind = rank_behind(set, score, member, reverse)
  at = reverse and math.min(at, behind) or math.max(at, behind)
end

local members
if reverse then
  members = at >= low and redis.call('ZRANGE', set, math.max(low, at - most), at, 'WITHSCORES') or {}
else
  members = at <= high and redis.call('ZRANGE', set, at, math.min(high, at + most), 'WITHSCORES') or {}
end

local answer = { 'ok', 0 }
local total = #members / 2
for i = 1, total do
  local n = reverse and total - i or i - 1
  local member, score = members[2 * n + 1], members[2 * n + 2]
  if #answer - 2 >= most or bytes > most_bytes then
    answer[2] = 1
    break
  end
  local r, size = nil, 0
  if dead then
    r = redis.pcall('HMGET', key('dead', member), 'message', 'state', 'request', 'status', 'shared')
    size = r.err and 0
      or redis.call('HSTRLEN', key('dead', member), 'body') + redis.call('HSTRLEN', key('dead', member), 'responseBody')
    if r[5] then size = size + redis.call('HSTRLEN', key('body', r[5]), 'text') end
  else
    r = redis.pcall('HMGET', key('message', member), 'place', 'state', 'request', 'retried')
    r[1] = member
  end
  bytes = bytes + #(r[3] or '')
  answer[#answer + 1] = { member, score, r[1] or '', r[2] or '', r[3] or '', r[4] or '', size }
end
return answer
