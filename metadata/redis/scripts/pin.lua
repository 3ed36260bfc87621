-- The head of every script that carries a pin; it is put before each of the others.
--
-- KEYS[1]  open   string: the open era as "<era> <run id> <replication id>"
-- KEYS[2]  era    hash: what is known of the pinned era
-- ARGV[1]  era    ARGV[2]  run id    ARGV[3]  replication id
-- cost     two INFO sections and one GET

-- Numbers stay decimal strings, so that no 64-bit one is rounded; this is their order.
local function less(a, b)
  return #a < #b or (#a == #b and a < b)
end

-- Where the pinned era stands: open, loaded, begun, absent (nothing of it is here) or other (may never be used).
local function standing()
  local server = redis.call('INFO', 'server')
  local replication = redis.call('INFO', 'replication')
  if not string.find(server, 'run_id:' .. ARGV[2] .. '\r\n', 1, true)
    or not string.find(replication, 'master_replid:' .. ARGV[3] .. '\r\n', 1, true) then
    return 'other'
  end
  local open = redis.call('GET', KEYS[1])
  if open == ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3] then
    return 'open'
  end
  if open and not less(string.match(open, '^%d+'), ARGV[1]) then
    return 'other'
  end
  local era = redis.call('HMGET', KEYS[2], 'run', 'repl', 'loaded')
  if not era[1] then
    return 'absent'
  end
  if era[1] ~= ARGV[2] or era[2] ~= ARGV[3] then
    return 'other'
  end
  return era[3] and 'loaded' or 'begun'
end

-- What to answer to a reader (the era must be open) or a writer (open or loaded) that may not go on; nil if it may.
local function unreadable(at)
  if at == 'open' then return nil end
  if at == 'loaded' or at == 'begun' then return {'unopened'} end
  return {'era'}
end

local function unwritable(at)
  if at == 'open' or at == 'loaded' then return nil end
  if at == 'begun' then return {'unloaded'} end
  return {'era'}
end

-- Heartbeats and copies need the era to be there in any state.
local function unknown(at)
  if at == 'other' or at == 'absent' then return {'era'} end
  return nil
end

-- Makes the era's hash and enters it in the set of eras (KEYS[3]) if it is not there. The last step of all checks.
local function room(at)
  if at == 'absent' then
    redis.call('HSET', KEYS[2], 'run', ARGV[2], 'repl', ARGV[3])
    redis.call('SADD', KEYS[3], ARGV[1])
  end
end

-- Carries out the effects of control records, five arguments each from ARGV[at] on: letter, name, a, b, key of the log.
-- Each may be repeated. journals, ends, starts and keys are key names.
local function effects(from, journals, ends, starts, keys)
  for i = from, #ARGV, 5 do
    local what, name, a, b = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
    if what == 'O' then
      if redis.call('HSETNX', journals, name, a) == 1 then
        redis.call('HSET', journals, name .. ':first', a)
        redis.call('SADD', keys, ARGV[i + 4])
      end
    elseif what == 'S' then
      redis.call('HSETNX', journals, name .. ':seal', a)
    elseif what == 'A' then
      if redis.call('HSETNX', ends, name, b) == 1 and a ~= '0' then
        redis.call('HSET', starts, name, a)
      end
    elseif what == 'D' then
      redis.call('HDEL', ends, name)
      redis.call('HDEL', starts, name)
    elseif what == 'F' then
      local held = redis.call('HMGET', journals, name, name .. ':floor')
      if held[1] and less(held[2] or '0', a) then
        redis.call('HSET', journals, name .. ':floor', a)
      end
    elseif what == 'L' and redis.call('HEXISTS', ends, name) == 1 then
      if less(redis.call('HGET', starts, name) or '0', a) then
        redis.call('HSET', starts, name, a)
      end
    end
  end
end
