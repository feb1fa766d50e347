#!lua flags=allow-oom
-- stats_read: what all processes did, minute by minute, the oldest first and the one that runs last. Changes nothing.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  how many minutes
--   ARGV[3…] fields
--
--   returns  {"ok", {minute (Unix time / 60), number …}, …}, the numbers in the order of the fields
--            {"clock", last}
--   writes   clock

local now = clock()
if not now then return clock_refusal() end

local fields = {}
for i = 3, #ARGV do fields[#fields + 1] = ARGV[i] end
local answer, last = { 'ok' }, math.floor(now / 60000)
for minute = last - tonumber(ARGV[2]) + 1, last do
  local row = redis.call('HMGET', key('stats', text(minute)), unpack(fields))
  for i = 1, #fields do row[i] = tonumber(row[i] or '0') end
  table.insert(row, 1, minute)
  answer[#answer + 1] = row
end
return answer
