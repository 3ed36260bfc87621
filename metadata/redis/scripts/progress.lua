-- progress: counts work done by the recoverer (R2).
--
-- KEYS  1 open  2 era
-- ARGV  1-3 pin
-- returns {'ok'}; or era
-- cost  2 INFO, GET, HMGET, HINCRBY
local refused = unknown(standing())
if refused then return refused end
redis.call('HINCRBY', KEYS[2], 'progress', 1)
return {'ok'}
