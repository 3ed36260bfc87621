-- open: opens an era, and by that closes every older one, if by what is here it is complete (R4).
--
-- KEYS  1 open  2 era  3 journals
-- ARGV  1-3 pin  4 control number of the caller  5 doorbell channel  6 text to ring with
--       7.. pairs of journal and its seal slot, or '-' while it is open
-- returns {'ok'}; {'unready', journal or '-', what is missing}; or era
-- cost  2 INFO, GET, HMGET, HGET, HGETALL, SET, PUBLISH: reads all journals of the era
local at = standing()
local refused = unknown(at)
if refused then return refused end
if at == 'open' then return {'ok'} end
if at ~= 'loaded' then return {'unready', '-', 'not loaded'} end
local applied = redis.call('HGET', KEYS[2], 'applied') or '0'
if less(applied, ARGV[4]) then
  return {'unready', '-', 'control number ' .. applied .. ' of ' .. ARGV[4] .. ' applied'}
end

local held, names = {}, {}
local flat = redis.call('HGETALL', KEYS[3])
for i = 1, #flat, 2 do
  held[flat[i]] = flat[i + 1]
  names[string.match(flat[i], '^[^:]+')] = true
end
for name in pairs(names) do
  local next, seal, counted = held[name] or '0', held[name .. ':seal'], held[name .. ':counted']
  if seal then
    if less(next, seal) then return {'unready', name, 'indexed to ' .. next .. ' of seal ' .. seal} end
  elseif not counted then
    return {'unready', name, 'not re-attached'}
  elseif less(next, counted) then
    return {'unready', name, 'indexed to ' .. next .. ' of ' .. counted}
  end
end
for i = 7, #ARGV, 2 do
  if not held[ARGV[i]] then return {'unready', ARGV[i], 'not opened'} end
  if ARGV[i + 1] ~= '-' and held[ARGV[i] .. ':seal'] ~= ARGV[i + 1] then
    return {'unready', ARGV[i], 'not sealed at ' .. ARGV[i + 1]}
  end
end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3])
redis.call('PUBLISH', ARGV[5], ARGV[6])
return {'ok'}
