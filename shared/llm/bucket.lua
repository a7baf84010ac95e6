-- One process's call about one endpoint and key: what it used, what went wrong, what it wants to send. See bucket.py.
--
-- Two things bound each of requests (r) and tokens (t). A window of COUNT slots of WIDTH seconds counts what was granted
-- and, once settled, used: it never holds more than the limit, and no more than the limit times the share of the window
-- that has passed since it began, so that a wiped Redis starts empty. SPAN is two seconds more than a minute: half a
-- second for the slot that is not over, the rest for requests that do not take equally long to arrive. A bucket paces
-- the grants in between: its burst is a hundredth of the limit, or a request and what LATE seconds bring, so that asking
-- a little late loses nothing. A third bucket, of the pace that 429s taught, works only while there is such a pace.
local ask = cjson.decode(ARGV[1])
local STATE, SLOTS, FAIR, HELD = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local WIDTH, COUNT, BURST, LATE, RETURNED = 0.5, 124, 0.01, 0.3, 5
local SPAN = WIDTH * COUNT
local GRACE, HOLD = 0.5, 10
local ACTIVE, REMEMBERED, QUANTUM, SOON = 1.5, 60, 0.005, 0.05
local TRIP, LASTING, OPEN_FIRST, OPEN_MOST, PROBE = 5, 1, 1, 5, 15
local THROTTLE_FIRST, THROTTLE_MOST, PAUSE_MOST = 0.5, 20, 3600
local CUT, CUT_EVERY, AGAIN, MEASURED, FEW, PACE_LEAST = 0.75, 2, 30, 20, 3, 2
local FIRST, FAST, SLOW, NEAR, SOME, LITTLE, PACED = 1.25, 1.1, 1.003, 0.1, 60, 0.1, 300
local JUMP = 5
local KEEP = 600000

local now = ask.now
if not now then
  local time = redis.call('TIME')
  now = time[1] + time[2] / 1e6
end

local s, flat = {}, redis.call('HGETALL', STATE)
for i = 1, #flat, 2 do s[flat[i]] = tonumber(flat[i + 1]) or flat[i + 1] end
-- A clock that was set back would stand still here until it has caught up: begin anew instead, empty.
if not s.era or now < s.at - JUMP then
  s = {
    era = now, at = now, oldest = math.floor(now / WIDTH), sumr = 0, sumt = 0, paused = 0, throttles = 0,
    fails = 0, failing = 0, opened = 0, probe = 0, probing = 0, backoff = 0, virtual = 0, error = '',
    pace = 0, levelp = 0, paced = now, ceiling = 0, cut = 0, throttled = 0
  }
  redis.call('DEL', SLOTS, FAIR, HELD)
end
now = math.max(now, s.at)
s.at = now
local slot = math.floor(now / WIDTH)

-- What has left the window.
if slot - s.oldest > 2 * COUNT then
  redis.call('DEL', SLOTS)
  s.sumr, s.sumt, s.oldest = 0, 0, slot
end
while s.oldest <= slot - COUNT do
  local names = {'r' .. s.oldest, 't' .. s.oldest}
  local gone = redis.call('HMGET', SLOTS, names[1], names[2])
  s.sumr, s.sumt = s.sumr - (tonumber(gone[1]) or 0), s.sumt - (tonumber(gone[2]) or 0)
  redis.call('HDEL', SLOTS, names[1], names[2], 'a' .. s.oldest)
  s.oldest = s.oldest + 1
end

-- What earlier grants used in the end, less what was reserved for them.
for _, one in ipairs(ask.settled or {}) do
  local era, at, requests, tokens = one[1], one[2], one[3], one[4]
  if era == string.format('%.6f', s.era) then
    s.levelr, s.levelt, s.levelp = (s.levelr or 0) - requests, (s.levelt or 0) - tokens, s.levelp - requests
    if at >= s.oldest then
      s.sumr, s.sumt = s.sumr + requests, s.sumt + tokens
      redis.call('HINCRBY', SLOTS, 'r' .. at, requests)
      redis.call('HINCRBY', SLOTS, 't' .. at, tokens)
    end
  end
end

-- Who has how many in flight, and which limits they were given: of different ones the lowest counts, for all. A process
-- that says nothing for HOLD seconds is dead.
local function least(a, b) return a and b and math.min(a, b) or a or b end
local function hold(count)
  local given = {}
  for i, name in ipairs({'requests_per_minute', 'tokens_per_minute', 'concurrency'}) do given[i] = ask[name] or '-' end
  redis.call('HSET', HELD, ask.owner, string.format('%d %.3f %s', count, now + HOLD, table.concat(given, ' ')))
end
hold(ask.held)
local given, in_flight = {}, 0
local holders = redis.call('HGETALL', HELD)
for i = 1, #holders, 2 do
  local count, till, r, t, c = holders[i + 1]:match('(%S+) (%S+) (%S+) (%S+) (%S+)')
  if till and tonumber(till) > now then
    in_flight = in_flight + tonumber(count)
    given = {r = least(given.r, tonumber(r)), t = least(given.t, tonumber(t)), c = least(given.c, tonumber(c))}
  else
    redis.call('HDEL', HELD, holders[i])
  end
end
-- After a wiped Redis those who have some in flight are heard first.
local free = not given.c and math.huge or now - s.era < GRACE and 0 or given.c - in_flight

-- The limits in force, and the buckets' levels now. What processes remember fills in what a wiped Redis forgot.
local heard, known = ask.heard or {}, ask.known or {}
s.limitr = heard.limit_requests or s.limitr or known.limit_requests
s.limitt = heard.limit_tokens or s.limitt or known.limit_tokens
if s.pace == 0 and known.pace and now - s.era < ACTIVE then s.pace, s.cut = known.pace, now end
local limit = {r = least(given.r, s.limitr), t = least(given.t, s.limitt)}
local remaining = {r = heard.remaining_requests, t = heard.remaining_tokens}
local cap = {}
for kind, most in pairs(limit) do
  cap[kind] = math.max(most * BURST, 1 + LATE * most / SPAN)
  if not s['since' .. kind] then
    -- Empty, whatever was granted before the limit was known.
    s['since' .. kind] = now - math.min(1, s['sum' .. kind] / math.max(1, most)) * SPAN
    s['at' .. kind], s['level' .. kind] = now, 0
  end
  -- What comes back unused may stand above what time alone fills.
  local level = math.min(s['level' .. kind], RETURNED * cap[kind])
  level = math.max(level, math.min(cap[kind], level + (now - s['at' .. kind]) * most / SPAN))
  s['level' .. kind] = math.min(level, remaining[kind] or math.huge)
  s['at' .. kind] = now
end

-- How it went: successes, failures in a row, and being told to slow down.
local jitter = ask.jitter or 1
if ask.ok or (ask.pause and not ask.failures) then
  s.fails, s.opened, s.probe, s.probing, s.error = 0, 0, 0, 0, ''
end
if ask.ok then s.throttles = 0 end
if ask.answers then redis.call('HINCRBY', SLOTS, 'a' .. slot, ask.answers) end
if s.pace > 0 then
  -- It grows: faster before a second fall, slowly about where 429s came last, and where few requests try it.
  local near = s.ceiling > 0 and math.abs(s.pace / s.ceiling - 1) < NEAR
  local passed = now - s.paced
  local growth = near and SLOW or (s.ceiling > 0 and FAST or FIRST) ^ math.max(LITTLE, math.min(1, s.pace / SOME))
  s.pace = s.pace * growth ^ math.min(passed, ACTIVE)
  s.levelp = math.min(s.levelp + passed * s.pace / 60, 1 + LATE * s.pace / 60)
  if now - s.cut > PACED then s.pace, s.ceiling = 0, 0 end
end
s.paced = now
if ask.failures then
  if s.fails == 0 then s.failing = now end
  s.fails, s.error = s.fails + ask.failures, ask.error or ''
  if s.opened > 0 and s.probing == 1 then
    s.probing, s.backoff = 0, math.min(OPEN_MOST, s.backoff * 2)
    s.probe = now + s.backoff * jitter
  elseif s.opened == 0 and s.fails >= TRIP and now - s.failing >= LASTING then
    s.opened, s.probing, s.backoff = now, 0, OPEN_FIRST
    s.probe = now + s.backoff * jitter
  end
end
if ask.throttled and now >= s.paused then
  -- A 429 that says no time, or yet another that does: fall below what was answered of late. Those of requests sent
  -- before the last fall count as one with it.
  if (ask.pause < 0 or now - s.throttled < AGAIN) and now - s.cut > CUT_EVERY then
    local names = {}
    for i = 0, COUNT - 1 do names[i + 1] = 'a' .. (slot - i) end
    local late, all, first = 0, 0, 1
    for i, answers in ipairs(redis.call('HMGET', SLOTS, unpack(names))) do
      local count = tonumber(answers) or 0
      all = all + count
      if i <= MEASURED and count > 0 then late, first = late + count, i end
    end
    -- Since the first of them: who began a moment ago is not slow. A rate too high is cut again soon.
    local rate = late < FEW and all or late * 60 / (math.max(2, first) * WIDTH)
    if s.pace > 0 then s.ceiling, rate = s.pace, math.min(s.pace, rate) end
    -- Of an endpoint that has hardly answered yet nothing is known: the pauses do.
    if s.pace > 0 or all >= FEW then
      s.pace, s.levelp, s.cut = math.max(PACE_LEAST, CUT * rate), s.pace > 0 and math.min(s.levelp, 0) or 0, now
    end
  end
  s.throttled = now
end
if ask.pause then
  local wait = ask.pause
  if wait < 0 then
    wait = 0
    if now >= s.paused then
      s.throttles = s.throttles + 1
      wait = math.min(THROTTLE_MOST, THROTTLE_FIRST * 2 ^ (s.throttles - 1)) * jitter
    end
  end
  s.paused = math.max(s.paused, now + math.min(wait, PAUSE_MOST))
end

-- Experiments take turns by what they were granted, as shares of the limit (start-time fair queueing): one that comes,
-- or comes back, starts level with whoever was served last.
local mine, demands = {}, ask.asks or {}
for _, demand in ipairs(demands) do mine[demand[1]] = true end
local fair, others = {}, nil
local all = redis.call('HGETALL', FAIR)
for i = 1, #all, 2 do
  local granted, refused, seen = all[i + 1]:match('(%S+) (%S+) (%S+)')
  local one = {granted = tonumber(granted), active = now - tonumber(refused) < ACTIVE}
  if now - tonumber(seen) > REMEMBERED then
    redis.call('HDEL', FAIR, all[i])
  else
    fair[all[i]] = one
    if one.active and not mine[all[i]] then others = math.min(others or one.granted, one.granted) end
  end
end
local left = {}
for i, demand in ipairs(demands) do
  local one = fair[demand[1]] or {granted = 0}
  if not one.active then one.granted = math.max(one.granted, s.virtual) end
  fair[demand[1]] = one
  left[i] = {name = demand[1], costs = demand[2], next = 1, one = one}
end

local function wait_for(kind, cost)
  if not limit[kind] then return 0 end
  local most = math.max(1, limit[kind])
  cost = math.min(cost, most)
  local need = math.min(cost, cap[kind])
  local wait = (need - s['level' .. kind] - 1e-9) * SPAN / limit[kind]
  local share = math.min(1, (now - s['since' .. kind]) / SPAN)
  local over = s['sum' .. kind] + cost - most * share - 1e-9
  return math.max(0, wait, over * SPAN / most)
end

local wait, why, granted, requests, tokens = 0, nil, {}, 0, 0
local probing = false
while true do
  local turn = nil
  for _, one in ipairs(left) do
    if one.next <= #one.costs and (not turn or one.one.granted < turn.one.granted) then turn = one end
  end
  if not turn then break end
  local cost = turn.costs[turn.next]
  local share = math.max(
    limit.r and 1 / math.max(1, limit.r) or 0, limit.t and cost / limit.t or 0, s.pace > 0 and 1 / s.pace or 0,
    0.02 / (given.c or 100))
  if now < s.paused then
    wait, why = s.paused - now, 'pause'
  elseif s.opened > 0 and (now < s.probe or probing) then
    wait, why = s.probe - now, 'circuit'
  elseif free < 1 then
    wait, why = SOON, 'concurrency'
  elseif others and turn.one.granted > others + QUANTUM + share then
    wait, why = SOON, 'turn'
  else
    local forr, fort = wait_for('r', 1), wait_for('t', cost)
    wait, why = math.max(forr, fort), fort > forr and 'tokens' or 'requests'
    local forp = s.pace > 0 and (1 - s.levelp - 1e-9) * 60 / s.pace or 0
    if forp > wait then wait, why = forp, 'pace' end
  end
  if wait > 0 then break end
  why = nil
  if s.opened > 0 then
    probing, s.probing, s.probe = true, 1, now + PROBE
  end
  turn.next, free = turn.next + 1, free - 1
  s.virtual = math.max(s.virtual, turn.one.granted)
  turn.one.granted = turn.one.granted + share
  requests, tokens, s.levelp = requests + 1, tokens + cost, s.levelp - 1
  for kind, used in pairs({r = 1, t = cost}) do
    s['sum' .. kind] = s['sum' .. kind] + used
    if s['level' .. kind] then s['level' .. kind] = s['level' .. kind] - used end
  end
end
for i, one in ipairs(left) do
  granted[i] = one.next - 1
  local refused = one.next <= #one.costs and now or 0
  redis.call('HSET', FAIR, one.name, string.format('%.9f %.3f %.3f', one.one.granted, refused, now))
end
if requests > 0 then
  redis.call('HINCRBY', SLOTS, 'r' .. slot, requests)
  redis.call('HINCRBY', SLOTS, 't' .. slot, tokens)
  hold(ask.held + requests)
elseif ask.held == 0 and #demands == 0 then
  redis.call('HDEL', HELD, ask.owner)
end

local stored = {}
for name, value in pairs(s) do
  stored[#stored + 1] = name
  stored[#stored + 1] = type(value) == 'number' and string.format('%.6f', value) or value
end
redis.call('HSET', STATE, unpack(stored))
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, KEEP) end

return cjson.encode({
  era = string.format('%.6f', s.era),
  slot = slot,
  granted = granted,
  wait = wait,
  why = why,
  requests_per_minute = limit.r,
  tokens_per_minute = limit.t,
  concurrency = given.c,
  pace = s.pace > 0 and s.pace or nil,
  taught = {limit_requests = s.limitr, limit_tokens = s.limitt, pace = s.pace > 0 and s.pace or nil},
  paused = math.max(0, s.paused - now),
  down = s.opened > 0 and now - s.opened or nil,
  probe = s.opened > 0 and s.probing == 0 and math.max(0, s.probe - now) or nil,
  error = s.error
})
