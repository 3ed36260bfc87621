-- sweep: deletes keys of eras below the open one, in bounded batches.
--
-- KEYS  1 open  2 era  3 eras
-- ARGV  1-3 pin  4 how many keys at most  5 key prefix of the cluster
-- returns {'ok', '1' if there is more, else '0'}; or era, unopened
-- cost  2 INFO, GET, SMEMBERS of the few eras, SPOP, one UNLINK per key
-- It also deletes keys that are not in KEYS: those that an old era's set names, all of the same hash tag.
local refused = unreadable(standing())
if refused then return refused end
local left = tonumber(ARGV[4])
for _, number in ipairs(redis.call('SMEMBERS', KEYS[3])) do
  if less(number, ARGV[1]) then
    local prefix = ARGV[5] .. number .. ':'
    for _, key in ipairs(redis.call('SPOP', prefix .. 'keys', left)) do
      redis.call('UNLINK', key)
      left = left - 1
    end
    if left <= 0 then return {'ok', '1'} end
    for _, name in ipairs({'era', 'journals', 'ends', 'starts', 'beats', 'nodes'}) do
      redis.call('UNLINK', prefix .. name)
    end
    redis.call('SREM', KEYS[3], number)
  end
end
return {'ok', '0'}
