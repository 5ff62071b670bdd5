-- Lets a call pass, or says how long until it would. The same rule as gcra.rs, on the clock of
-- this server: replicas need not agree on the time.
--
-- KEYS[1]  of one principal and quota class
-- ARGV[1]  from one call to the next, in microseconds
-- ARGV[2]  how far the theoretical arrival time may be ahead, in microseconds
--
-- Returns 0, or how many microseconds to wait.
local interval, span = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local tat = tonumber(redis.call('GET', KEYS[1]) or now)
-- It is never further ahead, unless the clock was set back or the limit lowered: nobody waits
-- longer for that than for a whole burst.
tat = math.min(math.max(tat, now), now + span)
local wait = tat + interval - span - now
if wait > 0 then
  return wait
end
-- Not tostring, which rounds to 14 digits.
local next = string.format('%.0f', tat + interval)
redis.call('SET', KEYS[1], next, 'PX', math.ceil((tat + interval - now) / 1000))
return 0
