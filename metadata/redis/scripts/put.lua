-- put: stores copies of one kind and partition; a lower position never overwrites a higher one (T1).
--
-- KEYS  1 open  2 era  3 keys  4 copies of the kind and partition
-- ARGV  1-3 pin  4 doorbell channel  5 text to ring with  6.. triples of key, position and value, at most 1,000
-- returns {'ok'}; or era
-- cost  2 INFO, GET, HMGET, HSET, SADD, PUBLISH
local refused = unknown(standing())
if refused then return refused end
local names = {}
for i = 6, #ARGV, 3 do names[#names + 1] = ARGV[i] end
local have = redis.call('HMGET', KEYS[4], unpack(names))
local at, set = {}, {}
for i = 1, #names do
  local name, position = names[i], ARGV[3 + 3 * i + 1]
  local old = at[name] or (have[i] and string.match(have[i], '^%d+'))
  if not old or not less(position, old) then
    at[name] = position
    set[#set + 1] = name
    set[#set + 1] = position .. ' ' .. ARGV[3 + 3 * i + 2]
  end
end
if #set > 0 then
  redis.call('HSET', KEYS[4], unpack(set))
  redis.call('SADD', KEYS[3], KEYS[4])
  redis.call('PUBLISH', ARGV[4], ARGV[5])
end
return {'ok'}
