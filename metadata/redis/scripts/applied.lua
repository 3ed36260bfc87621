-- applied: reads the number of the last control record applied.
--
-- KEYS  1 open  2 era
-- ARGV  1-3 pin
-- returns {'ok', applied}; or era, unloaded
-- cost  2 INFO, GET, HGET
local refused = unwritable(standing())
if refused then return refused end
return {'ok', redis.call('HGET', KEYS[2], 'applied') or '0'}
