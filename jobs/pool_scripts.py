"""What the pool of work does in Redis, each as one step that no other client sees half of.

Of a queue Q there are

- `waiting:Q`, a hash: the pieces that wait, by name;
- `since:Q`, a sorted set: their names by the second from which they wait;
- `waiting:Q:T`, a list: the names of tenant T's, in the order in which they are to be handed out;
- `turns:Q`, a sorted set: the tenants with waiting pieces, by the seconds of workers that each has had;
- `served:Q`, a hash: these seconds, also of tenants that have nothing waiting at the moment;
- `clock:Q`: the seconds of the tenant who was served last, from which a tenant starts who comes anew;
- `usual:Q`: the seconds that a piece usually takes, charged in advance;
- `running:Q`, a hash: the pieces handed out, by name, each as {ticket, worker, since, charged, work};
- `tickets:Q`, a hash: the name of the piece that each ticket was given;

and of all queues `leases`, a sorted set: until when each worker is taken to be alive, by the clock of the server.
"""

from __future__ import annotations

from typing import Final

_COMMON: Final = """
local function key(what, queue) return 'cityzones:' .. what .. ':' .. queue end
local function list(queue, tenant) return 'cityzones:waiting:' .. queue .. ':' .. tenant end
local function seconds()
  local time = redis.call('TIME')
  return time[1] + time[2] / 1e6
end
local function number(text) return tonumber(text or '0') end

-- A tenant who comes anew starts where the others are: time in which it asked for nothing gives it no claim.
local function arrive(queue, tenant)
  if redis.call('ZSCORE', key('turns', queue), tenant) then return end
  local served = number(redis.call('HGET', key('served', queue), tenant))
  local start = math.max(served, number(redis.call('GET', key('clock', queue))))
  redis.call('ZADD', key('turns', queue), start, tenant)
end

local function put(queue, work, first)
  if redis.call('HEXISTS', key('running', queue), work.name) == 1 then return 0 end
  if redis.call('HSETNX', key('waiting', queue), work.name, work.text) == 0 then return 0 end
  redis.call('ZADD', key('since', queue), seconds(), work.name)
  redis.call(first and 'LPUSH' or 'RPUSH', list(queue, work.tenant), work.name)
  arrive(queue, work.tenant)
  return 1
end

local function hand_out(queue, ticket, worker, tenant, name, text, charged)
  local held = {ticket = ticket, worker = worker, since = seconds(), charged = charged, tenant = tenant, work = text}
  redis.call('HSET', key('running', queue), name, cjson.encode(held))
  redis.call('HSET', key('tickets', queue), ticket, name)
  return text
end

local function charge(queue, tenant, amount)
  local turns, served = key('turns', queue), key('served', queue)
  if redis.call('ZSCORE', turns, tenant) then
    redis.call('HSET', served, tenant, redis.call('ZINCRBY', turns, amount, tenant))
  else
    redis.call('HINCRBYFLOAT', served, tenant, amount)
  end
end

-- The seconds of a tenant that are no more than what everybody starts from need not be remembered.
local function forget(queue, tenant)
  if redis.call('ZSCORE', key('turns', queue), tenant) then return end
  local served = key('served', queue)
  if number(redis.call('HGET', served, tenant)) <= number(redis.call('GET', key('clock', queue))) then
    redis.call('HDEL', served, tenant)
  end
end
"""

# queue, name, tenant, text, first (0 or 1): 1 where the piece waits now, 0 where it did, or was being done.
PUT: Final = (
    _COMMON
    + """
return put(ARGV[1], {name = ARGV[2], tenant = ARGV[3], text = ARGV[4]}, ARGV[5] == '1')
"""
)

# queue, ticket, worker, name, tenant, text, known (0 or 1): the text of the piece to do, or false for none.
TAKE: Final = (
    _COMMON
    + """
local queue, ticket, worker = ARGV[1], ARGV[2], ARGV[3]
local own = {name = ARGV[4], tenant = ARGV[5], text = ARGV[6]}
local running, waiting, turns = key('running', queue), key('waiting', queue), key('turns', queue)

-- A ticket that comes again, as its worker died or the attempt failed, is for the same piece.
local before = redis.call('HGET', key('tickets', queue), ticket)
local kept = before and redis.call('HGET', running, before)
if kept then
  local held = cjson.decode(kept)
  return hand_out(queue, ticket, worker, held.tenant, before, held.work, held.charged)
end
if ARGV[7] == '0' then put(queue, own, false) end

while true do
  local next = redis.call('ZRANGE', turns, 0, 0, 'WITHSCORES')
  if not next[1] then break end
  local tenant, name = next[1], redis.call('LPOP', list(queue, next[1]))
  if redis.call('LLEN', list(queue, tenant)) == 0 then
    redis.call('ZREM', turns, tenant)
    redis.call('HSET', key('served', queue), tenant, next[2])
  end
  local text = name and redis.call('HGET', waiting, name)
  if text then
    redis.call('HDEL', waiting, name)
    redis.call('ZREM', key('since', queue), name)
    redis.call('SET', key('clock', queue), math.max(number(next[2]), number(redis.call('GET', key('clock', queue)))))
    local usual = number(redis.call('GET', key('usual', queue)))
    charge(queue, tenant, usual)
    return hand_out(queue, ticket, worker, tenant, name, text, usual)
  end
end

-- Nothing waits: the pool has lost what it held, unless the piece is in other hands.
if redis.call('HEXISTS', running, own.name) == 1 then return false end
return hand_out(queue, ticket, worker, own.tenant, own.name, own.text, 0)
"""
)

# queue, ticket, how much of the time taken makes the usual one anew: 1 where the ticket held a piece.
DONE: Final = (
    _COMMON
    + """
local queue, ticket = ARGV[1], ARGV[2]
local name = redis.call('HGET', key('tickets', queue), ticket)
if not name then return 0 end
local held = cjson.decode(redis.call('HGET', key('running', queue), name))
redis.call('HDEL', key('tickets', queue), ticket)
redis.call('HDEL', key('running', queue), name)
-- Something, however fast: else those who ask for trifles would never have had enough.
local took = math.max(seconds() - held.since, 0.01)
charge(queue, held.tenant, took - held.charged)
local usual = redis.call('GET', key('usual', queue))
usual = usual and number(usual) + (took - number(usual)) * ARGV[3] or took
redis.call('SET', key('usual', queue), usual)
forget(queue, held.tenant)
return 1
"""
)

# queue, ticket, worker, seconds: the piece is in nobody's hands for so long, and comes back with its ticket.
DEFER: Final = (
    _COMMON
    + """
local queue, ticket = ARGV[1], ARGV[2]
local name = redis.call('HGET', key('tickets', queue), ticket)
local kept = name and redis.call('HGET', key('running', queue), name)
if not kept then return 0 end
local held = cjson.decode(kept)
if held.worker ~= ARGV[3] then return 0 end
held.worker = 'ticket ' .. ticket
redis.call('HSET', key('running', queue), name, cjson.encode(held))
redis.call('ZADD', 'cityzones:leases', seconds() + ARGV[4], held.worker)
return 1
"""
)

# worker, seconds: it is alive for so long.
RENEW: Final = (
    _COMMON
    + """
redis.call('ZADD', 'cityzones:leases', seconds() + ARGV[2], ARGV[1])
return 1
"""
)

_GIVE_BACK: Final = (
    _COMMON
    + """
-- What is given back is done next of all that its tenant has waiting.
local function give_back(queue, name, held)
  redis.call('HDEL', key('running', queue), name)
  redis.call('HDEL', key('tickets', queue), held.ticket)
  charge(queue, held.tenant, -held.charged)
  put(queue, {name = name, tenant = held.tenant, text = held.work}, true)
  return held.work
end
"""
)

# queue: gives back what workers hold whose lease has run out, and returns the texts of these pieces.
RECLAIM: Final = (
    _GIVE_BACK
    + """
local queue, moment, found = ARGV[1], seconds(), {}
local all = redis.call('HGETALL', key('running', queue))
for i = 1, #all, 2 do
  local held = cjson.decode(all[i + 1])
  if number(redis.call('ZSCORE', 'cityzones:leases', held.worker)) < moment then
    found[#found + 1] = give_back(queue, all[i], held)
  end
end
return found
"""
)

# queue, worker, tickets: gives back what these tickets hold for the worker, and returns the texts of these pieces.
RELEASE: Final = (
    _GIVE_BACK
    + """
local queue, found = ARGV[1], {}
for i = 3, #ARGV do
  local name = redis.call('HGET', key('tickets', queue), ARGV[i])
  local kept = name and redis.call('HGET', key('running', queue), name)
  if kept then
    local held = cjson.decode(kept)
    if held.worker == ARGV[2] then found[#found + 1] = give_back(queue, name, held) end
  end
end
return found
"""
)

# queue, tickets in the queue: the texts of waiting pieces for which there are too few tickets.
ORPHANS: Final = (
    _COMMON
    + """
local all = redis.call('HVALS', key('waiting', ARGV[1]))
local found = {}
for i = 1, #all - ARGV[2] do found[i] = all[i] end
return found
"""
)

# queue: for how many seconds the piece has waited that has waited longest, as text; "0" where none does.
OLDEST: Final = (
    _COMMON
    + """
local since = key('since', ARGV[1])
while true do
  local first = redis.call('ZRANGE', since, 0, 0, 'WITHSCORES')
  if not first[1] then return '0' end
  if redis.call('HEXISTS', key('waiting', ARGV[1]), first[1]) == 1 then
    return tostring(math.max(seconds() - first[2], 0))
  end
  -- A worker of an older version took it, which does not keep this set.
  redis.call('ZREM', since, first[1])
end
"""
)
