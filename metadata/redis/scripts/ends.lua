-- ends: reads log start and log end of partitions.
--
-- KEYS  1 open  2 era  3 ends  4 starts
-- ARGV  1-3 pin  4.. partitions, at least one
-- returns {'ok', ends (false: no such partition), starts (false: 0)}; or era, unopened
-- cost  2 INFO, GET, 2 HMGET
local refused = unreadable(standing())
if refused then return refused end
return {'ok', redis.call('HMGET', KEYS[3], unpack(ARGV, 4)), redis.call('HMGET', KEYS[4], unpack(ARGV, 4))}
