-- Forget answers of one organization's cache: one by its id, or all of a scope.
--
-- KEYS  1 the organization's answers   2 their sizes   3 the scope's answers (all but one: the id's own key)
-- ARGV  1 what the key of every answer starts with   2 an id (empty: all of the scope)
-- Gives how many answers were there.

local ids = ARGV[2] ~= '' and {ARGV[2]} or redis.call('ZRANGE', KEYS[3], 0, -1)
local cleared = 0
for _, id in ipairs(ids) do
  cleared = cleared + redis.call('DEL', ARGV[1] .. id)
  local bytes = tonumber(redis.call('HGET', KEYS[2], id) or 0)
  redis.call('ZREM', KEYS[1], id)
  if redis.call('HDEL', KEYS[2], id) == 1 then redis.call('HINCRBY', KEYS[2], 't', 0 - bytes) end
end
if ARGV[2] == '' then redis.call('DEL', KEYS[3]) end
return cleared
