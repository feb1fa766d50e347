#!lua flags=allow-oom
-- log_shed: memory is short: drops the oldest segment of the log, so that messages need not be refused.
--
--   KEYS[1]  root
--   ARGV[1]  now, ms
--
--   returns  {"ok", events, left}: how many were dropped (0: there is nothing to drop), bytes of the log that are left
--   writes   log log:<n> history:<n>

open_log()
-- The segment that is written goes, too, where it is the only one.
if tonumber(redis.call('HGET', key('log'), 'first') or '1') == events.segment then next_segment() end
local dropped = drop_segment(true)
return { 'ok', dropped or 0, tonumber(redis.call('HGET', key('log'), 'bytes') or '0') }
