-- Rebuild: set up a money counter that Redis has lost, from the ledger and the stream.
--
-- KEYS  1 the counter   2 the shard's usage stream   3 when this shard's memory began
-- ARGV  1 nano-dollars that the ledger knows   2 last stream id that the ledger holds
--       3 the counter's name in usage events   4 field of an event that counts: "charge_nano" or "counted"
--       5 time to live (ms, 0 = for ever)
-- Gives 1 when it was set up, 0 when somebody else was first.
--
-- Events behind the ledger's cursor are read here, in the same step, so that none is missed or
-- counted twice. Ingestion keeps the stream short.

if redis.call('HEXISTS', KEYS[1], 's') == 1 then return 0 end
local spent = tonumber(ARGV[1])
local behind = redis.call('XRANGE', KEYS[2], '(' .. ARGV[2], '+')
for _, entry in ipairs(behind) do
  local event = cjson.decode(entry[2][2])
  for _, name in ipairs(event['budgets'] or {}) do
    if name == ARGV[3] then
      local charge, cost = event['charge_nano'] or 0, event['cost_nano'] or 0
      spent = spent + (ARGV[4] == 'counted' and math.max(charge, cost) or charge)
    end
  end
end
redis.call('HSET', KEYS[1], 's', string.format('%.0f', spent))
if tonumber(ARGV[5]) > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[5]) end
return 1
