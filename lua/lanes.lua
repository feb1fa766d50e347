#!lua flags=allow-oom
-- lanes: what waits in lanes, and since when. Changes nothing.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2…] lanes, a hundred at most
--
--   returns  {"ok", lane ...}, a lane being {entries nobody was given yet, due time (ms) of the one whose turn is next, or
--            "" where there is none}
--            {"clock", last}
--   writes   clock

local now = clock()
if not now then return clock_refusal() end

local function next_due_of(stream)
  local count, last = waiting(stream)
  local head = count > 0 and redis.call('XRANGE', stream, '(' .. last, '+', 'COUNT', 1)[1]
  return count, head and head[2][4]
end

local function read(lane)
  local again, before = next_due_of(again_stream(lane))
  local fresh, due = next_due_of(lane_stream(lane))
  return { again + fresh, before or due or '' }
end

-- One that can't be read hides itself and not the others.
local answer = { 'ok' }
for i = 2, math.min(#ARGV, 101) do
  local fine, lane = pcall(read, ARGV[i])
  answer[i] = fine and lane or { 0, '' }
end
return answer
