-- Health: add what this process has counted to everybody's, and give the sum.
--
-- KEYS  1 the counts of these five minutes (hash: "provider\nmodel\nposition" -> count)
-- ARGV  1 life (s)   2 most fields there may be   then pairs: field, count
-- Gives all fields and counts. A field that would be one too many is left out.

for i = 3, #ARGV, 2 do
  if redis.call('HLEN', KEYS[1]) < tonumber(ARGV[2]) or redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then
    redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
if #ARGV > 2 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return redis.call('HGETALL', KEYS[1])
