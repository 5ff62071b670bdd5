-- Announces fills of keys that hold an answer which has run out.
--
-- KEYS     subjects' keys
-- ARGV[1]  the identity that this server must have: a replication id
-- ARGV[2]  the nonce of these fills
-- ARGV[3]  how long a fill may take, in milliseconds
--
-- Returns how many keys were named. Returns false when this is not that server.
local info = redis.call('INFO', 'replication')
if not (info:find('role:master', 1, true) and info:find('master_replid:' .. ARGV[1], 1, true)) then
  return false
end
for i = 1, #KEYS do
  redis.pcall('SET', KEYS[i], ARGV[2], 'PX', ARGV[3])
end
return #KEYS
