-- A Pktgen whose router carries FAKE_CAPACITY percent of a 10 Gbit/s line and loses the rest. Runs rfc2544.lua with it.
-- FAKE_FORM chooses the form of portStats: "old" takes a second argument, "new" nests the counters.

local capacity = tonumber(os.getenv("FAKE_CAPACITY"))
local old_form = os.getenv("FAKE_FORM") == "old"
local rate, size, sending, sent, received, samples_file = 0, 0, false, 0, 0, nil

local anything = setmetatable({}, { __index = function() return function() end end })
pktgen = setmetatable({
  range = anything,
  set = function(_, what, value)
    if what == "rate" then rate = value elseif what == "size" then size = value end
  end,
  start = function() sending = true end,
  stop = function() sending = false end,
  clr = function() sent, received = 0, 0 end,
  delay = function(milliseconds)
    if not sending then return end
    local line = 10e9 / ((size + 20) * 8) * milliseconds / 1000
    sent = sent + math.floor(line * rate / 100)
    received = received + math.floor(line * math.min(rate, capacity) / 100)
  end,
  portStats = function(port, form)
    if old_form ~= (form == "port") then error("portStats, wrong number of arguments") end
    local counters = { opackets = port == "0" and sent or 0, ipackets = port == "1" and received or 0 }
    return { [tonumber(port)] = old_form and counters or { curr = counters } }
  end,
  latsampler_params = function(_, _, _, _, path) samples_file = path end,
  latsampler = function(_, state)
    if state ~= "off" then return end
    local file = assert(io.open(samples_file, "w"))
    file:write("Latency\n")
    for nanoseconds = 100, 1, -1 do file:write(nanoseconds * 1000, "\n") end
    file:close()
  end,
}, { __index = function() return function() end end })

dofile(arg[1])
