-- Admission: decide every limit of one request at once, all or nothing.
--
-- KEYS  1 open holds (sorted set: request -> lease expiry, ms)   2 this request's hold record
--       3 when this shard's memory began (ms)                    4.. one key per check
-- ARGV  1 request id   2 lease (ms)   3 hold record   4 clock offset (ms, tests only)
--       then five per check: kind, a, b, c, d
--         "r" requests, "t" tokens (GCRA): a interval of one unit (µs), b capacity (units), c quantity
--         "c" concurrency (sorted set of leases): a limit
--         "b" money of a period (hash s = spent, h = held): a limit (nano-dollars), b amount to hold,
--             c moment (ms) from which a missing counter means nothing was spent (-1: it never does),
--             d time to live (ms, 0 = for ever)
--         "w" money of a rolling window (the same, and one field per bucket, by number; o = the oldest):
--             a limit, b amount to hold, c moment (ms) of the budget's making, d length of a bucket (s)
--         "bo", "wo" the same, only observed: never refuses, and may have less than nothing left
-- Gives {1, for each check: remaining, reset (ms)}
--       {0, check, kind, left, retry after (ms, -1 unknown), spent, held, least left of all money that is known}
--       {2, checks whose money counter must be rebuilt first}
--       After a refusal or a rebuild nothing is held.

local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2] + ARGV[4] * 1000
local now_ms = math.floor(now_us / 1000)
local first_check, stride = 4, 5
local checks = #KEYS - first_check + 1
local rolling_buckets = 60

redis.call('SET', KEYS[3], now_ms, 'NX')

local state, missing = {}, {}
local refusal, least_left = nil, nil

local function nano(amount) return string.format('%.0f', amount) end

-- The buckets of a rolling window, the oldest first, as {number, spent}.
local function buckets_of(key)
  local fields, found = redis.call('HGETALL', key), {}
  for f = 1, #fields, 2 do
    local number = tonumber(fields[f])
    if number then found[#found + 1] = {number, tonumber(fields[f + 1])} end
  end
  table.sort(found, function(left, right) return left[1] < right[1] end)
  return found
end

-- Take buckets that have left the window out of the sum; gives what is spent in those that are left.
local function roll(key, spent, first)
  local oldest = false
  for _, bucket in ipairs(buckets_of(key)) do
    if bucket[1] < first then
      spent = spent - bucket[2]
      redis.call('HDEL', key, bucket[1])
    elseif not oldest then
      oldest = bucket[1]
    end
  end
  if oldest then redis.call('HSET', key, 's', nano(spent), 'o', oldest)
  else redis.call('HSET', key, 's', nano(spent)) redis.call('HDEL', key, 'o') end
  return spent
end

-- How long until so much has left the window that `excess` is free; -1 if that alone cannot help.
local function wait_for(key, excess, bucket_ms)
  for _, bucket in ipairs(buckets_of(key)) do
    excess = excess - bucket[2]
    if excess <= 0 then return (bucket[1] + rolling_buckets + 1) * bucket_ms - now_ms end
  end
  return -1
end

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
    local counter = redis.call('HMGET', key, 's', 'h', 'o')
    local spent, held = tonumber(counter[1]), tonumber(counter[2]) or 0
    local is_rolling, is_observed = string.sub(kind, 1, 1) == 'w', #kind == 2
    local bucket_ms, blank_from = 0, c
    if is_rolling then
      bucket_ms = tonumber(ARGV[at + 5]) * 1000
      local first = math.floor(now_ms / bucket_ms) - rolling_buckets
      blank_from = c <= first * bucket_ms and first * bucket_ms or -1
      if spent and counter[3] and tonumber(counter[3]) < first then spent = roll(key, spent, first) end
    end
    if not spent then
      if blank_from >= tonumber(redis.call('GET', KEYS[3])) then spent = 0 else missing[#missing + 1] = i end
    end
    if spent then
      local left = a - spent - held
      state[i] = {spent, held, a, b}
      if not is_observed then
        if not least_left or left < least_left then least_left = left end
        if b > left and not refusal then
          local wait_ms = -1
          if is_rolling and b <= a then wait_ms = wait_for(key, b - left, bucket_ms) end
          refusal = {0, i, kind, nano(left), wait_ms, nano(spent), nano(held)}
        end
      end
    end
  end
end

-- What refuses now refuses whatever the missing counters hold: nobody is asked for them in vain.
if refusal then
  refusal[8] = least_left and nano(math.max(0, least_left)) or '-1'
  return refusal
end
if #missing > 0 then return {2, unpack(missing)} end

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
    local life_ms = tonumber(ARGV[at + 5])
    if string.sub(kind, 1, 1) == 'w' then life_ms = life_ms * 1000 * (rolling_buckets + 2) end
    if life_ms > 0 then redis.call('PEXPIRE', key, nano(life_ms)) end
    answer[#answer + 1] = nano(s[3] - s[1] - s[2] - s[4])
    answer[#answer + 1] = -1
  end
end
redis.call('ZADD', KEYS[1], expires_ms, ARGV[1])
redis.call('SET', KEYS[2], ARGV[3])
return answer
