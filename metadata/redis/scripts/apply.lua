-- apply: tells the index what control records first to last mean for it (P6).
--
-- KEYS  1 open  2 era  3 journals  4 ends  5 starts  6 keys
-- ARGV  1-3 pin  4 first - 1  5 last  6 doorbell channel  7 text to ring with  8.. effects
-- returns {'ok', applied}; {'turn', applied} if the number applied is not first - 1; or era, unloaded
-- cost  2 INFO, GET, HGET, HSET, PUBLISH, 1 to 3 per effect
local refused = unwritable(standing())
if refused then return refused end
local applied = redis.call('HGET', KEYS[2], 'applied') or '0'
if not less(applied, ARGV[5]) then return {'ok', applied} end
if applied ~= ARGV[4] then return {'turn', applied} end
effects(8, KEYS[3], KEYS[4], KEYS[5], KEYS[6])
redis.call('HSET', KEYS[2], 'applied', ARGV[5])
redis.call('PUBLISH', ARGV[6], ARGV[7])
return {'ok', ARGV[5]}
