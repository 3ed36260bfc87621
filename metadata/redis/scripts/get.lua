-- get: reads copies of one kind and partition.
--
-- KEYS  1 open  2 era  3 copies of the kind and partition
-- ARGV  1-3 pin  4.. keys, 1 to 1,000
-- returns {'ok', "<position> <value>" or false per key}; or era, unopened
-- cost  2 INFO, GET, HMGET
local refused = unreadable(standing())
if refused then return refused end
return {'ok', redis.call('HMGET', KEYS[3], unpack(ARGV, 4))}
