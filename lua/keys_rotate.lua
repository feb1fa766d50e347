#!lua
-- keys_rotate: the next signing key becomes the current one, a new one takes its place.
--
--   KEYS[1]  the hash of the signing keys, outside every root: roost:keys
--   ARGV[1]  now, ms; not looked at
--   ARGV[2]  the next key as the caller read it
--   ARGV[3]  the key that follows it
--   ARGV[4]  channel the nodes listen on
--
--   returns  {"ok", current, next}, also where an earlier arrival of this call did it
--            {"changed", current, next}: somebody else rotated since: read and decide again
--   writes   roost:keys; publishes wake

local pair = redis.call('HMGET', KEYS[1], 'current', 'next')
-- Its own key is in force already, as the next one or, where somebody else rotated since, as the current one.
if pair[2] == ARGV[3] or pair[1] == ARGV[3] then return { 'ok', pair[1], pair[2] } end
if pair[2] ~= ARGV[2] then return { 'changed', pair[1], pair[2] } end
redis.call('HSET', KEYS[1], 'current', ARGV[2], 'next', ARGV[3])
redis.pcall('PUBLISH', ARGV[4], 'keys')
return { 'ok', ARGV[2], ARGV[3] }
