-- loaded: ends the loading of an era; from now on it may be indexed (R3). Changes nothing once the era is loaded.
--
-- KEYS  1 open  2 era
-- ARGV  1-3 pin  4 control number that the checkpoint stands at
-- returns {'ok'}; or era
-- cost  2 INFO, GET, HMGET, HSET
local at = standing()
local refused = unknown(at)
if refused then return refused end
if at == 'begun' then redis.call('HSET', KEYS[2], 'loaded', '1', 'applied', ARGV[4]) end
return {'ok'}
