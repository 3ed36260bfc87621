-- segments: reads the entries of journals from given slots on, all at one moment (C1).
--
-- KEYS  1 open  2 era  3 journals  4.. the logs of the journals asked for
-- ARGV  1-3 pin  4 limit per journal  5.. pairs of journal and first slot wanted
-- returns {'ok', then per journal asked for a list of entries}; or era, unopened
-- cost  2 INFO, GET, HMGET, and one LRANGE per journal that has something new
-- What lies below a journal's floor was dropped, wherever forget has got to; the newest entry is always there.
local refused = unreadable(standing())
if refused then return refused end

local fields, n = {}, 0
for i = 5, #ARGV, 2 do
  local name = ARGV[i]
  fields[n + 1], fields[n + 2], fields[n + 3] = name, name .. ':first', name .. ':floor'
  n = n + 3
end
local reply = {'ok'}
if n == 0 then return reply end
local known = redis.call('HMGET', KEYS[3], unpack(fields))
for i = 1, n / 3 do
  local next, first, floor, from = known[3 * i - 2], known[3 * i - 1], known[3 * i], ARGV[4 + 2 * i]
  if not next or not less(from, next) then
    reply[i + 1] = {}
  elseif floor and less(from, floor) and not less(floor, next) then
    reply[i + 1] = redis.call('LRANGE', KEYS[3 + i], -1, -1)
  else
    if floor and less(from, floor) then from = floor end
    local skip = 0
    if less(first, from) then skip = tonumber(from) - tonumber(first) end
    reply[i + 1] = redis.call('LRANGE', KEYS[3 + i], skip, skip + tonumber(ARGV[4]) - 1)
  end
end
return reply
