-- Looks up answers, and announces a fill of each that is not there.
--
-- KEYS     subjects' keys
-- ARGV[1]  the identity that this server must have: a replication id
-- ARGV[2]  the nonce of these fills
-- ARGV[3]  how long a fill may take, in milliseconds
--
-- Returns what each key held: an answer, the nonce of somebody else's fill, or false where the
-- fill of this call begins. Returns false alone when this is not that server.
local info = redis.call('INFO', 'replication')
if not (info:find('role:master', 1, true) and info:find('master_replid:' .. ARGV[1], 1, true)) then
  return false
end
local values = redis.call('MGET', unpack(KEYS))
for i = 1, #KEYS do
  if not values[i] then
    -- Without memory for it there is no fill.
    redis.pcall('SET', KEYS[i], ARGV[2], 'PX', ARGV[3])
  end
end
return values
