-- counters: reads all heartbeat counters.
--
-- KEYS  1 open  2 era  3 beats
-- ARGV  1-3 pin
-- returns {'ok', pairs of journal and counter}; or era
-- cost  2 INFO, GET, HGETALL
local refused = unknown(standing())
if refused then return refused end
return {'ok', redis.call('HGETALL', KEYS[3])}
