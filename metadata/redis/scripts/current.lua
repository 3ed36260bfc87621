-- current: reads what is here of one era, and which era is open. Carries no pin.
--
-- KEYS  1 open  2 era  3 journals
-- ARGV  none
-- returns {INFO server, INFO replication, open or false, {run, repl, loaded, applied, progress}, journals as pairs}
-- cost  2 INFO, GET, HMGET, HGETALL: reads all journals of the era
return {
  redis.call('INFO', 'server'),
  redis.call('INFO', 'replication'),
  redis.call('GET', KEYS[1]),
  redis.call('HMGET', KEYS[2], 'run', 'repl', 'loaded', 'applied', 'progress'),
  redis.call('HGETALL', KEYS[3]),
}
