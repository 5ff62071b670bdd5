-- Stores answers where the fill that brings them is still the one announced.
--
-- KEYS     subjects' keys
-- ARGV[1]  the identity that this server must have: a replication id
-- ARGV[2]  how long an answer is kept, in milliseconds
-- ARGV[3…] by key: the nonce of the fill, and the answer
--
-- Returns how many were stored. Returns false when this is not that server.
local info = redis.call('INFO', 'replication')
if not (info:find('role:master', 1, true) and info:find('master_replid:' .. ARGV[1], 1, true)) then
  return false
end
local stored = 0
for i = 1, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[1 + 2 * i] then
    local done = redis.pcall('SET', KEYS[i], ARGV[2 + 2 * i], 'PX', ARGV[2])
    if not done.err then
      stored = stored + 1
    end
  end
end
return stored
