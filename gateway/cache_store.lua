-- Keep one answer in an organization's cache, within the organization's room.
--
-- KEYS  1 the answer   2 the organization's answers (sorted set: id -> expiry, ms)
--       3 their sizes (hash: id -> bytes, "t" -> all)   4 the answers of this scope (sorted set, as 2)
-- ARGV  1 id   2 sealed answer   3 life (ms)   4 room of the organization (bytes)
--       5 what the key of every answer of the organization starts with
-- Gives 1 kept, 0 larger than the room. What expires first makes way for what does not fit beside it.

local clock = redis.call('TIME')
local now_ms = math.floor(clock[1] * 1000 + clock[2] / 1000)
local size, room, life_ms = #ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[3])
if size > room then return 0 end

local function forget(id)
  local bytes = tonumber(redis.call('HGET', KEYS[3], id) or 0)
  redis.call('ZREM', KEYS[2], id)
  if redis.call('HDEL', KEYS[3], id) == 1 then redis.call('HINCRBY', KEYS[3], 't', 0 - bytes) end
end

local function keep_for(key, ms)
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, ms) end
end

forget(ARGV[1])
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now_ms, 'LIMIT', 0, 1000)) do forget(id) end
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now_ms)
while tonumber(redis.call('HGET', KEYS[3], 't') or 0) + size > room do
  local first = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
  if not first then
    redis.call('DEL', KEYS[3])
    break
  end
  redis.call('DEL', ARGV[5] .. first)
  forget(first)
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', life_ms)
redis.call('ZADD', KEYS[2], now_ms + life_ms, ARGV[1])
redis.call('ZADD', KEYS[4], now_ms + life_ms, ARGV[1])
redis.call('HSET', KEYS[3], ARGV[1], size)
redis.call('HINCRBY', KEYS[3], 't', size)
for i = 2, 4 do keep_for(KEYS[i], life_ms) end
return 1
