-- Rebuild: set up a money counter that Redis has lost, from the ledger and the stream.
--
-- KEYS  1 the counter   2 the shard's usage stream   3 when this shard's memory began
-- ARGV  1 nano-dollars that the ledger knows   2 last stream id that the ledger holds
--       3 the counter's name in usage events   4 field of an event that counts: "charge_nano" or "counted"
--       5 time to live (ms, 0 = for ever)
-- Gives 1 when it was set up, 0 when somebody else was first, -1 when the ledger must be read again.
--
-- Events behind the ledger's cursor are read here, in the same step, so that none is missed or
-- counted twice. One that has been ingested and deleted since the ledger was read would be
-- missed: the stream's own note of its latest deletion tells. Ingestion keeps the stream short.

local function is_later(left, right)
  local left_ms, left_number = string.match(left, '^(%d+)-(%d+)$')
  local right_ms, right_number = string.match(right, '^(%d+)-(%d+)$')
  if left_ms ~= right_ms then return tonumber(left_ms) > tonumber(right_ms) end
  return tonumber(left_number) > tonumber(right_number)
end

if redis.call('HEXISTS', KEYS[1], 's') == 1 then return 0 end
if redis.call('EXISTS', KEYS[2]) == 1 then
  local facts = redis.call('XINFO', 'STREAM', KEYS[2])
  for i = 1, #facts, 2 do
    if facts[i] == 'max-deleted-entry-id' and is_later(facts[i + 1], ARGV[2]) then return -1 end
  end
end
local spent = tonumber(ARGV[1])
local behind = redis.call('XRANGE', KEYS[2], '(' .. ARGV[2], '+')
for _, entry in ipairs(behind) do
  local event = cjson.decode(entry[2][2])
  for _, name in ipairs(event['budgets'] or {}) do
    if name == ARGV[3] then
      local charge, cost = event['charge_nano'] or 0, event['cost_nano'] or 0
      local counts_cost = ARGV[4] == 'counted' and event['own']
      spent = spent + (counts_cost and math.max(charge, cost) or charge)
    end
  end
end
redis.call('HSET', KEYS[1], 's', string.format('%.0f', spent))
if tonumber(ARGV[5]) > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[5]) end
return 1
