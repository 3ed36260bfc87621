-- beat: moves a journal's heartbeat counter by one (F1).
--
-- KEYS  1 open  2 era  3 beats
-- ARGV  1-3 pin  4 journal
-- returns {'ok'}; {'unregistered'}; or era
-- cost  2 INFO, GET, HEXISTS, HINCRBY
local refused = unknown(standing())
if refused then return refused end
if redis.call('HEXISTS', KEYS[3], ARGV[4]) == 0 then return {'unregistered'} end
redis.call('HINCRBY', KEYS[3], ARGV[4], 1)
return {'ok'}
