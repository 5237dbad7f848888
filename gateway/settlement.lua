-- Settlement: replace a request's hold by what it cost, and append its usage event, in one step.
--
-- KEYS  1 open holds   2 this request's hold record   3 the shard's usage stream   4.. one key per check
-- ARGV  1 request id   2 usage event (JSON; empty: nothing to record)   3 life of the settled mark (ms)
--       4 "settle" or "reap" (only when the lease has expired)   5 clock offset (ms, tests only)
--       then four per check: kind, a, b, c
--         "t" tokens: a interval of one unit (µs), b units held, c units used
--         "c" concurrency
--         "b" money: a nano-dollars held at admission, b nano-dollars spent, c 1 if it is the wallet.
--             What it came to hold since then stands in front of the hold record (gateway/extension.lua);
--             no more is ever spent than what is held, so that no counter can pass its limit here.
--         "w" money in a rolling window: a nano-dollars held, b nano-dollars spent, c length of a bucket (ms)
--         "e" the usage event of another leg of a race: a the event; its key is the usage stream again
--         "i" idempotency record, last if at all: a sealed answer to keep (empty: free the key),
--             b its life (ms), c the request's fingerprint
-- Gives 1 settled, 0 settled before, -1 not expired (reap only).
--
-- A hold that is not there although nobody settled it was lost with Redis' memory: the event is
-- still recorded, and counted in those counters that exist.

local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2] + ARGV[5] * 1000
local record = redis.call('GET', KEYS[2])
local checks = #KEYS - 3
local rolling_buckets = 60
if checks > 0 and ARGV[#ARGV - 3] == 'i' then
  local key, answer = KEYS[#KEYS], ARGV[#ARGV - 2]
  local owner = redis.call('HGET', key, 'o')
  if answer == '' then
    if owner == ARGV[1] then redis.call('DEL', key) end
  elseif not owner or owner == ARGV[1] then
    redis.call('HSET', key, 'f', ARGV[#ARGV], 'o', ARGV[1], 'a', answer)
    redis.call('PEXPIRE', key, ARGV[#ARGV - 1])
  end
  checks = checks - 1
end
if record == 'settled' then return 0 end
if ARGV[4] == 'reap' then
  local expiry = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]))
  if not record or not expiry then
    redis.call('ZREM', KEYS[1], ARGV[1])
    return 0
  end
  if expiry > now_us / 1000 then return -1 end
end

local extra_budgets, extra_wallet = string.match(record or '', '^(%d+) (%d+) ')
extra_budgets, extra_wallet = tonumber(extra_budgets) or 0, tonumber(extra_wallet) or 0

for i = 1, checks do
  local key = KEYS[3 + i]
  local at = 5 + (i - 1) * 4
  local kind = ARGV[at + 1]
  if kind == 't' then
    local tat = tonumber(redis.call('GET', key) or 0)
    local corrected = tat + (tonumber(ARGV[at + 4]) - tonumber(ARGV[at + 3])) * tonumber(ARGV[at + 2])
    if record and tat > 0 and corrected ~= tat then
      if corrected <= now_us then
        redis.call('DEL', key)
      else
        local life_ms = math.ceil((corrected - now_us) / 1000) + 1000
        redis.call('SET', key, string.format('%.3f', corrected), 'PX', life_ms)
      end
    end
  elseif kind == 'c' then
    redis.call('ZREM', key, ARGV[1])
  elseif kind == 'e' then
    redis.call('XADD', key, '*', 'e', ARGV[at + 2])
  elseif redis.call('EXISTS', key) == 1 then
    local spent = tonumber(ARGV[at + 3])
    -- One that was lost and not rebuilt yet has nothing but what is held; the stream tells what was spent.
    local is_whole = redis.call('HEXISTS', key, 's') == 1
    if record then
      local held = tonumber(ARGV[at + 2]) + (ARGV[at + 4] == '1' and extra_wallet or extra_budgets)
      local still_held = redis.call('HINCRBY', key, 'h', string.format('%.0f', 0 - held))
      if not is_whole and still_held == 0 then redis.call('DEL', key) end
      spent = math.min(spent, held)
    end
    if is_whole then redis.call('HINCRBY', key, 's', string.format('%.0f', spent)) end
    if is_whole and kind == 'w' and spent > 0 then
      -- It counts from now on, when it ends: until now it was held.
      local bucket = math.floor(now_us / (ARGV[at + 4] * 1000))
      redis.call('HINCRBY', key, bucket, string.format('%.0f', spent))
      redis.call('HSETNX', key, 'o', bucket)
      -- As long as admission would give it: what is spent now outlives the request that it was held for.
      redis.call('PEXPIRE', key, string.format('%.0f', ARGV[at + 4] * (rolling_buckets + 2)))
    end
  end
end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], 'settled', 'PX', ARGV[3])
if ARGV[2] ~= '' then redis.call('XADD', KEYS[3], '*', 'e', ARGV[2]) end
return 1
