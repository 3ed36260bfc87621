-- begin: makes room for an era (R2).
--
-- KEYS  1 open  2 era  3 eras
-- ARGV  1-3 pin
-- returns {'ok'}; or era, also if the era is open
-- cost  2 INFO, GET, HMGET, HSET, SADD
local at = standing()
if at == 'other' or at == 'open' then return {'era'} end
room(at)
return {'ok'}
