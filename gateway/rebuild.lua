-- Rebuild: set up a money counter that Redis has lost, from the ledger and the stream.
--
-- KEYS  1 the counter   2 the shard's usage stream   3 when this shard's memory began
--       4 whether nothing had been spent in this shard when it began
-- ARGV  1 nano-dollars that the ledger knows (0 for a rolling window)   2 last stream id that the ledger holds
--       3 the organization   4 scope: "wallet", "organization", "project", "key", "tag", "end_user", "model"
--       5 its id, tag, end user or, for a model family, a Lua pattern (with a slash: for provider/model)
--       6 the period's start as events write moments (empty: none)   7 time to live (ms, 0 = for ever)
--       8 length of a bucket of a rolling window (ms; 0: a period)   9 time that running requests have to
--       restore their holds (ms), then bucket and nano-dollars in turn
-- Gives 1 when it was set up, 0 when somebody else was first, -1 when the ledger must be read again,
--       and -2 less the milliseconds to wait while holds are restored.
--
-- A memory that is younger than the ledger is that of a Redis which has lost what it knew. Running
-- requests restore their holds (gateway/restore.lua) before anybody is admitted beside them.
--
-- Events behind the ledger's cursor are read here, in the same step, so that none is missed or
-- counted twice. One that has been ingested and deleted since the ledger was read would be
-- missed: the stream's own note of its latest deletion tells. Ingestion keeps the stream short.

local organization, scope, subject, since = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local bucket_ms = tonumber(ARGV[8])

local function is_later(left, right)
  local left_ms, left_number = string.match(left, '^(%d+)-(%d+)$')
  local right_ms, right_number = string.match(right, '^(%d+)-(%d+)$')
  if left_ms ~= right_ms then return tonumber(left_ms) > tonumber(right_ms) end
  return tonumber(left_number) > tonumber(right_number)
end

-- Ids may be written with hyphens or without; they are compared without.
local function id_of(event, name) return (string.gsub(event[name] or '', '-', '')) end

local function is_counted(event)
  if id_of(event, 'organization') ~= organization or event['at'] < since then return false end
  if scope == 'wallet' or scope == 'organization' then return true end
  if scope == 'tag' then
    for _, tag in ipairs(event['tags'] or {}) do
      if tag == subject then return true end
    end
    return false
  end
  if scope == 'model' then
    local name = event['model'] or ''
    if string.find(subject, '/', 1, true) then name = (event['provider'] or '') .. '/' .. name end
    return string.find(name, subject) ~= nil
  end
  if scope == 'end_user' then return event['end_user'] == subject end
  return id_of(event, scope) == subject
end

if redis.call('HEXISTS', KEYS[1], 's') == 1 then return 0 end
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('SET', KEYS[3], string.format('%.0f', now_ms), 'NX')
local age_ms = now_ms - tonumber(redis.call('GET', KEYS[3]))
if age_ms >= 0 and age_ms < tonumber(ARGV[9]) and redis.call('EXISTS', KEYS[4]) == 0 then
  if ARGV[2] ~= '0-0' then return -2 - (tonumber(ARGV[9]) - age_ms) end
  redis.call('SET', KEYS[4], 1)
end
if redis.call('EXISTS', KEYS[2]) == 1 then
  local facts = redis.call('XINFO', 'STREAM', KEYS[2])
  for i = 1, #facts, 2 do
    if facts[i] == 'max-deleted-entry-id' and is_later(facts[i + 1], ARGV[2]) then return -1 end
  end
end

local spent, buckets = tonumber(ARGV[1]), {}
for i = 10, #ARGV, 2 do buckets[ARGV[i]] = tonumber(ARGV[i + 1]) end
for _, entry in ipairs(redis.call('XRANGE', KEYS[2], '(' .. ARGV[2], '+')) do
  local event = cjson.decode(entry[2][2])
  if is_counted(event) then
    local charge, cost = event['charge_nano'] or 0, event['cost_nano'] or 0
    local counts_cost = scope ~= 'wallet' and event['own']
    local amount = counts_cost and math.max(charge, cost) or charge
    if bucket_ms == 0 then
      spent = spent + amount
    elseif amount > 0 then
      local ended_ms = tonumber(string.match(entry[1], '^(%d+)-'))
      local bucket = string.format('%.0f', math.floor(ended_ms / bucket_ms))
      buckets[bucket] = (buckets[bucket] or 0) + amount
    end
  end
end
local oldest = nil
for bucket, amount in pairs(buckets) do
  spent = spent + amount
  redis.call('HSET', KEYS[1], bucket, string.format('%.0f', amount))
  if not oldest or tonumber(bucket) < tonumber(oldest) then oldest = bucket end
end
if oldest then redis.call('HSET', KEYS[1], 'o', oldest) end
redis.call('HSET', KEYS[1], 's', string.format('%.0f', spent))
if tonumber(ARGV[7]) > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[7]) end
return 1
