-- Idempotency: claim a key for one request, or say what became of the request that has it.
--
-- KEYS  1 the key's record (hash: f fingerprint, o owner's request id, u claimed until (ms), a answer)
-- ARGV  1 fingerprint   2 request id   3 lease (ms)   4 life of the record (ms)
--       5 what hold records' keys begin with: the owner's is in the same slot as KEYS[1]
--       6 clock offset (ms, tests only)
-- Gives {1}                  claimed
--       {0, owner}           the owner runs
--       {2, owner, answer}   the owner has answered
--       {3, owner}           the owner sent something else
--
-- An owner runs from its claim until its hold is settled, by itself or by the reaper: then it has
-- left its answer or freed the key, or its process has died and the key is free again. Between the
-- claim and the hold lies one admission, for which the claim has a lease of its own.

local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000) + ARGV[6]
local record = redis.call('HMGET', KEYS[1], 'f', 'o', 'u', 'a')
local fingerprint, owner, claimed_until, answer = record[1], record[2], record[3], record[4]

if owner then
  local is_bound = answer or (claimed_until and tonumber(claimed_until) > now_ms)
  if not is_bound then
    local hold = redis.call('GET', ARGV[5] .. owner)
    is_bound = hold and hold ~= 'settled'
  end
  if is_bound then
    if fingerprint ~= ARGV[1] then return {3, owner} end
    if answer then return {2, owner, answer} end
    return {0, owner}
  end
  redis.call('DEL', KEYS[1])
end
redis.call('HSET', KEYS[1], 'f', ARGV[1], 'o', ARGV[2], 'u', string.format('%.0f', now_ms + ARGV[3]))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {1}
