-- load: writes a part of the checkpoint that an era starts with (R3). Changes nothing once the era is loaded.
--
-- KEYS  1 open  2 era  3 journals  4 ends  5 starts  6 keys
-- ARGV  1-3 pin  4.. effects
-- returns {'ok'}; or era
-- cost  2 INFO, GET, HMGET, 1 to 3 per effect
local at = standing()
local refused = unknown(at)
if refused then return refused end
if at == 'begun' then effects(4, KEYS[3], KEYS[4], KEYS[5], KEYS[6]) end
return {'ok'}
