-- segments: reads the entries of journals from given slots on, all at one moment (C1).
--
-- KEYS  1 open  2 era  3 journals  4.. the logs of the journals asked for
-- ARGV  1-3 pin  4 limit per journal  5.. pairs of journal and first slot wanted
-- returns {'ok', then per journal asked for a list of entries}; or era, unopened
-- cost  2 INFO, GET, HMGET, and one LRANGE per journal that has something new
local refused = unreadable(standing())
if refused then return refused end

local fields, n = {}, 0
for i = 5, #ARGV, 2 do
  fields[n + 1], fields[n + 2] = ARGV[i], ARGV[i] .. ':first'
  n = n + 2
end
local reply = {'ok'}
if n == 0 then return reply end
local known = redis.call('HMGET', KEYS[3], unpack(fields))
for i = 1, n / 2 do
  local next, first, from = known[2 * i - 1], known[2 * i], ARGV[4 + 2 * i]
  if next and less(from, next) then
    local skip = 0
    if less(first, from) then skip = tonumber(from) - tonumber(first) end
    reply[i + 1] = redis.call('LRANGE', KEYS[3 + i], skip, skip + tonumber(ARGV[4]) - 1)
  else
    reply[i + 1] = {}
  end
end
return reply
