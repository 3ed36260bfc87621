-- forget: gives back the memory of entries below the floors of journals, in bounded batches.
--
-- KEYS  1 open  2 era  3 journals  4.. the logs of the journals
-- ARGV  1-3 pin  4 how many entries at most  5.. journals
-- returns {'ok', '1' if there is more, else '0'}; or era, unloaded
-- cost  2 INFO, GET, HMGET, and LLEN, LTRIM, HSET per journal that has entries below its floor
local refused = unwritable(standing())
if refused then return refused end
local fields, left = {}, tonumber(ARGV[4])
for i = 5, #ARGV do
  fields[#fields + 1], fields[#fields + 2] = ARGV[i] .. ':first', ARGV[i] .. ':floor'
end
local held = redis.call('HMGET', KEYS[3], unpack(fields))
for i = 5, #ARGV do
  local first, floor, log = held[2 * i - 9], held[2 * i - 8], KEYS[i - 1]
  if first and floor and less(first, floor) then
    local below = math.min(tonumber(floor) - tonumber(first), redis.call('LLEN', log) - 1) -- the newest stays
    local gone = math.min(below, left)
    if gone > 0 then
      redis.call('LTRIM', log, gone, -1)
      redis.call('HSET', KEYS[3], ARGV[i] .. ':first', string.format('%.0f', tonumber(first) + gone))
      left = left - gone
    end
    if gone < below then return {'ok', '1'} end
  end
end
return {'ok', '0'}
