-- index: makes one slot of a journal visible to every agent, or changes nothing (P6).
--
-- KEYS  1 open  2 era  3 journals  4 ends  5 starts  6 log of the journal
-- ARGV  1-3 pin  4 journal  5 slot  6 slot + 1  7 control number of the caller  8 entry  9 doorbell channel
--       10 text to ring with  11 n, the number of extents  12.. n partitions, n bases, n nexts, then pairs of
--       partition and log start
-- returns {outcome}: indexed, repeated, behind, closed, conflict; or era, unloaded
-- cost  2 INFO, GET, 2 HMGET, HSET, RPUSH, HSET, PUBLISH, whatever n is; 2 more per log start
local at = standing()
local refused = unwritable(at)
if refused then return refused end

local journal, slot, n = ARGV[4], ARGV[5], tonumber(ARGV[11])
local j = redis.call('HMGET', KEYS[3], journal, journal .. ':seal', journal .. ':counted')
local ends = {}
if n > 0 then ends = redis.call('HMGET', KEYS[4], unpack(ARGV, 12, 11 + n)) end

local lags -- whether Redis stands below the control number that the caller knows; asked at most once
local function lagging()
  if lags == nil then lags = less(redis.call('HGET', KEYS[2], 'applied') or '0', ARGV[7]) end
  return lags
end

if not j[1] then return {lagging() and 'behind' or 'closed'} end
if less(slot, j[1]) then return {'repeated'} end
if j[2] and not less(slot, j[2]) then return {'closed'} end
if slot ~= j[1] or (at == 'loaded' and not j[2] and not j[3]) then return {'behind'} end

local behind = false
local set = {}
local k = 0
for i = 1, n do
  local have = ends[i]
  if not have then
    behind = behind or lagging() -- else the partition was dropped and is skipped
  else
    local base = ARGV[11 + n + i]
    if base ~= have then
      if less(base, have) then return {'conflict'} end
      behind = true
    end
    set[k + 1], set[k + 2] = ARGV[11 + i], ARGV[11 + n + n + i]
    k = k + 2
  end
end
if behind then return {'behind'} end

if k > 0 then redis.call('HSET', KEYS[4], unpack(set)) end
redis.call('RPUSH', KEYS[6], ARGV[8])
redis.call('HSET', KEYS[3], journal, ARGV[6])
for i = 12 + 3 * n, #ARGV, 2 do
  if redis.call('HEXISTS', KEYS[4], ARGV[i]) == 1 and less(redis.call('HGET', KEYS[5], ARGV[i]) or '0', ARGV[i + 1]) then
    redis.call('HSET', KEYS[5], ARGV[i], ARGV[i + 1])
  end
end
redis.call('PUBLISH', ARGV[9], ARGV[10])
return {'indexed'}
