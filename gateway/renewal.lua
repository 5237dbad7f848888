-- Renewal: a running request says that it is alive, and how much it has used so far.
--
-- KEYS  1 open holds   2 this request's hold record   3.. concurrency sets it is a member of
-- ARGV  1 request id   2 lease (ms)   3 hold record with the newest reading
-- Gives 1, 0 when the hold was lost with Redis' memory, or -1 when somebody else has settled it.

local record = redis.call('GET', KEYS[2])
if not record then return 0 end
if record == 'settled' then return -1 end
local clock = redis.call('TIME')
local expires_ms = clock[1] * 1000 + math.floor(clock[2] / 1000) + ARGV[2]
-- What gateway/extension.lua has written in front of the record stays there.
redis.call('SET', KEYS[2], (string.match(record, '^%d+ %d+ ') or '') .. ARGV[3])
redis.call('ZADD', KEYS[1], expires_ms, ARGV[1])
for i = 3, #KEYS do
  redis.call('ZADD', KEYS[i], expires_ms, ARGV[1])
  redis.call('PEXPIRE', KEYS[i], ARGV[2] * 4)
end
return 1
