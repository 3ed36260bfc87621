-- all: reads all copies of one kind and partition.
--
-- KEYS  1 open  2 era  3 copies of the kind and partition
-- ARGV  1-3 pin
-- returns {'ok', pairs of key and "<position> <value>"}; or era, unopened
-- cost  2 INFO, GET, HGETALL
local refused = unreadable(standing())
if refused then return refused end
return {'ok', redis.call('HGETALL', KEYS[3])}
