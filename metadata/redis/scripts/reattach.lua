-- reattach: lets a journal into an era that is being built (R3).
--
-- KEYS  1 open  2 era  3 eras  4 journals
-- ARGV  1-3 pin  4 journal  5 counted: one above its highest slot that counts
-- returns {'ok'}; or era
-- cost  2 INFO, GET, HGET, HSET
local at = standing()
if at == 'other' then return {'era'} end
if at == 'open' then return {'ok'} end
room(at)
local counted = redis.call('HGET', KEYS[4], ARGV[4] .. ':counted')
if not counted or less(counted, ARGV[5]) then
  redis.call('HSET', KEYS[4], ARGV[4] .. ':counted', ARGV[5])
end
return {'ok'}
