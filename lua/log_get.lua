#!lua flags=allow-oom
-- log_get: single events of the log by their refs, whole. Changes nothing.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--   ARGV[2]  bytes at most (the first goes however large it is)
--   ARGV[3…] refs
--
--   returns  {"ok", event ...}: for each ref {ref, message, state, created, before, detail, body}, or {} where it is gone;
--            fewer than were asked for where the bytes were used up: call again with the others
--   writes   nothing

local all, answer, bytes = segments(), { 'ok' }, 0
for i = 3, #ARGV do
  if bytes > tonumber(ARGV[2]) then break end
  local event = read_event(all, ARGV[i]) or {}
  bytes = bytes + #(event[6] or '') + #(event[7] or '')
  answer[#answer + 1] = event
end
return answer
