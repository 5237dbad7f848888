-- Extension: a running request holds more, the same of every budget that it holds, or of none.
--
-- What it holds on top is written in front of its hold record ("budgets wallet {…}", nano-dollars),
-- so that whoever settles gives it back, also when the answer to this call was never read.
--
-- KEYS  1 this request's hold record   2.. one key per money counter
-- ARGV  1 nano-dollars wanted
--       then two per counter: its limit (nano-dollars), 1 if it is the wallet
-- Gives the nano-dollars that were added to each counter: what was wanted, or what the tightest
-- has left; -1 if the hold is gone or a counter was lost with Redis' memory.

local record = redis.call('GET', KEYS[1])
if not record or record == 'settled' then return -1 end

local room = tonumber(ARGV[1])
for i = 2, #KEYS do
  local counter = redis.call('HMGET', KEYS[i], 's', 'h')
  local spent, held = tonumber(counter[1]), tonumber(counter[2]) or 0
  if not spent then return -1 end
  room = math.min(room, tonumber(ARGV[2 * i - 2]) - spent - held)
end
if room < 1 then return 0 end

local budgets, wallet, rest = string.match(record, '^(%d+) (%d+) (.*)$')
budgets, wallet, rest = tonumber(budgets) or 0, tonumber(wallet) or 0, rest or record
local amount = string.format('%.0f', room)
for i = 2, #KEYS do
  redis.call('HINCRBY', KEYS[i], 'h', amount)
  if ARGV[2 * i - 1] == '1' then wallet = wallet + room end
end
redis.call('SET', KEYS[1], string.format('%.0f %.0f ', budgets + room, wallet) .. rest)
return amount
