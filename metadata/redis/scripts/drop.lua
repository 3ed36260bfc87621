-- drop: deletes all copies of one kind and partition.
--
-- KEYS  1 open  2 era  3 keys  4 copies of the kind and partition
-- ARGV  1-3 pin
-- returns {'ok'}; or era
-- cost  2 INFO, GET, UNLINK, SREM
local refused = unknown(standing())
if refused then return refused end
redis.call('UNLINK', KEYS[4])
redis.call('SREM', KEYS[3], KEYS[4])
return {'ok'}
