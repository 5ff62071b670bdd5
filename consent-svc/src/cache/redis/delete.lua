-- Forgets answers, and every fill of them that is under way.
--
-- KEYS     subjects' keys
-- ARGV[1]  the identity that this server must have: a replication id
--
-- Returns how many were there. Returns false when this is not that server.
local info = redis.call('INFO', 'replication')
if not (info:find('role:master', 1, true) and info:find('master_replid:' .. ARGV[1], 1, true)) then
  return false
end
return redis.call('UNLINK', unpack(KEYS))
