-- Admission: decide every limit of one request at once, all or nothing.
--
-- KEYS  1 open holds (sorted set: request -> lease expiry, ms)   2 this request's hold record
--       3 when this shard's memory began (ms)                    4.. one key per check
-- ARGV  1 request id   2 lease (ms)   3 hold record   4 clock offset (ms, tests only)
--       then five per check: kind, a, b, c, d
--         "r" requests, "t" tokens (GCRA): a interval of one unit (µs), b capacity (units), c quantity
--         "c" concurrency (sorted set of leases): a limit
--         "b" money (hash s = spent, h = held): a limit (nano-dollars), b amount to hold,
--             c moment (ms) from which a missing counter means nothing was spent (-1: it never does),
--             d time to live (ms, 0 = for ever)
-- Gives {1, for each check: remaining, reset (ms)}
--       {0, check, kind, left, retry after (ms, -1 unknown), spent, held}   nothing was written
--       {2, checks whose money counter must be rebuilt first}               nothing was written

local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2] + ARGV[4] * 1000
local now_ms = math.floor(now_us / 1000)
local first_check, stride = 4, 5
local checks = #KEYS - first_check + 1

redis.call('SET', KEYS[3], now_ms, 'NX')

local state, missing = {}, {}
local refusal = nil

for i = 1, checks do
  local key = KEYS[first_check + i - 1]
  local at = 4 + (i - 1) * stride
  local kind = ARGV[at + 1]
  local a, b, c = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  if kind == 'r' or kind == 't' then
    local tat = math.max(tonumber(redis.call('GET', key) or 0), now_us)
    local new_tat = tat + a * c
    local room_us = now_us + a * b - new_tat
    state[i] = {new_tat, a, b}
    if room_us < -0.5 and not refusal then
      local left = math.max(0, math.floor((now_us + a * b - tat) / a))
      local retry_ms = math.ceil(-room_us / 1000)
      if c > b then retry_ms = -1 end
      refusal = {0, i, kind, left, retry_ms, 0, 0}
    end
  elseif kind == 'c' then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now_ms)
    local running = redis.call('ZCARD', key)
    state[i] = {running, a}
    if running >= a and not refusal then
      refusal = {0, i, kind, 0, 1000, running, 0}
    end
  else
    local counter = redis.call('HMGET', key, 's', 'h')
    local spent, held = tonumber(counter[1]), tonumber(counter[2]) or 0
    if not spent then
      if c >= tonumber(redis.call('GET', KEYS[3])) then spent = 0 else missing[#missing + 1] = i end
    end
    if spent then
      state[i] = {spent, held, a, b}
      if spent + held + b > a and not refusal then
        refusal = {0, i, kind, string.format('%.0f', a - spent - held), -1,
                   string.format('%.0f', spent), string.format('%.0f', held)}
      end
    end
  end
end

if #missing > 0 then return {2, unpack(missing)} end
if refusal then return refusal end

local expires_ms = now_ms + ARGV[2]
local answer = {1}
for i = 1, checks do
  local key = KEYS[first_check + i - 1]
  local at = 4 + (i - 1) * stride
  local kind, s = ARGV[at + 1], state[i]
  if kind == 'r' or kind == 't' then
    local ahead_us = s[1] - now_us
    redis.call('SET', key, string.format('%.3f', s[1]), 'PX', math.ceil(ahead_us / 1000) + 1000)
    answer[#answer + 1] = math.max(0, math.floor((s[2] * s[3] - ahead_us) / s[2] + 0.0001))
    answer[#answer + 1] = math.ceil(ahead_us / 1000)
  elseif kind == 'c' then
    redis.call('ZADD', key, expires_ms, ARGV[1])
    redis.call('PEXPIRE', key, ARGV[2] * 4)
    answer[#answer + 1] = s[2] - s[1] - 1
    answer[#answer + 1] = 0
  else
    redis.call('HINCRBY', key, 's', 0)
    redis.call('HINCRBY', key, 'h', ARGV[at + 3])
    if tonumber(ARGV[at + 5]) > 0 then redis.call('PEXPIRE', key, ARGV[at + 5]) end
    answer[#answer + 1] = string.format('%.0f', s[3] - s[1] - s[2] - s[4])
    answer[#answer + 1] = -1
  end
end
redis.call('ZADD', KEYS[1], expires_ms, ARGV[1])
redis.call('SET', KEYS[2], ARGV[3])
return answer
