-- register: starts a journal's heartbeat counter, or leaves it where it is.
--
-- KEYS  1 open  2 era  3 beats  4 nodes
-- ARGV  1-3 pin  4 journal  5 text for people
-- returns {'ok'}; or era
-- cost  2 INFO, GET, HSETNX, HSET
local refused = unknown(standing())
if refused then return refused end
redis.call('HSETNX', KEYS[3], ARGV[4], '0')
redis.call('HSET', KEYS[4], ARGV[4], ARGV[5])
return {'ok'}
