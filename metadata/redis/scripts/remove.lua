-- remove: ends the heartbeat counters of sealed journals.
--
-- KEYS  1 open  2 era  3 beats  4 nodes
-- ARGV  1-3 pin  4.. journals, at least one
-- returns {'ok'}; or era
-- cost  2 INFO, GET, 2 HDEL
local refused = unknown(standing())
if refused then return refused end
redis.call('HDEL', KEYS[3], unpack(ARGV, 4))
redis.call('HDEL', KEYS[4], unpack(ARGV, 4))
return {'ok'}
