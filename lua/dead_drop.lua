#!lua flags=allow-oom
-- dead_drop: deletes dead letters.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  call: the same for every arrival of one request
--   ARGV[3…] dlqIds
--
--   returns  {"ok", deleted}: ids that are not there are skipped; the same answer when the call arrives again
--            {"clock", last}
--   writes   dead dead:<dlqId> body:<hash> receipt:<call> clock

local now = clock()
if not now then return clock_refusal() end

local receipt = redis.call('GET', key('receipt', ARGV[2]))
if receipt then return { 'ok', tonumber(receipt) } end

local deleted = 0
for i = 3, #ARGV do
  if drop_dead(ARGV[i]) then deleted = deleted + 1 end
end
redis.call('SET', key('receipt', ARGV[2]), deleted, 'PX', 120000)
return { 'ok', deleted }
