-- Restore: a running request holds again what Redis has lost with its memory.
--
-- KEYS  1 open holds   2 this request's hold record   3.. one key per check
-- ARGV  1 request id   2 lease (ms)   3 hold record with the newest reading
--       4 what budgets hold on top (gateway/extension.lua, nano-dollars)   5 what the wallet holds on top
--       then three per check: kind ("c" concurrency, "b" or "w" money), nano-dollars, 1 if it is the wallet
-- Gives 1, or 0 when there is nothing to restore.
--
-- A counter that is not rebuilt yet has nothing but what is held: nobody is admitted on it, and
-- gateway/rebuild.lua adds what was spent.

if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
local clock = redis.call('TIME')
local expires_ms = clock[1] * 1000 + math.floor(clock[2] / 1000) + ARGV[2]
for i = 3, #KEYS do
  local at = 5 + (i - 3) * 3
  if ARGV[at + 1] == 'c' then
    redis.call('ZADD', KEYS[i], expires_ms, ARGV[1])
    redis.call('PEXPIRE', KEYS[i], ARGV[2] * 4)
  else
    local on_top = ARGV[at + 3] == '1' and ARGV[5] or ARGV[4]
    redis.call('HINCRBY', KEYS[i], 'h', string.format('%.0f', ARGV[at + 2] + on_top))
  end
end
local on_top = (tonumber(ARGV[4]) > 0) and ARGV[4] .. ' ' .. ARGV[5] .. ' ' or ''
redis.call('SET', KEYS[2], on_top .. ARGV[3])
redis.call('ZADD', KEYS[1], expires_ms, ARGV[1])
return 1
