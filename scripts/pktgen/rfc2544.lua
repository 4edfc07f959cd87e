-- RFC 2544 throughput and latency of a router between two ports of Pktgen-DPDK. docs/pktgen.md says how to cable and run it.
--
-- Settings come from the environment, so that the file need not be edited; see `setting` below for all of them.

local function setting(name, default)
  local value = os.getenv(name)
  if value == nil or value == "" then return default end
  return tonumber(value) or value
end

local settings = {
  router_mac = setting("ROUTER_MAC", nil), -- of the router's port that is cabled to the sending port
  source = setting("SOURCE", "198.18.0.2"), -- a host on the sending side (RFC 2544, appendix C.2.2)
  sources = setting("SOURCES", 200), -- consecutive source addresses, so that a router with several queues uses them
  destination = setting("DESTINATION", "198.19.0.2"), -- the receiving port's address
  send_port = setting("SEND_PORT", 0),
  receive_port = setting("RECEIVE_PORT", 1),
  trial_s = setting("TRIAL_S", 60), -- RFC 2544, section 24: at least 60 s; shorter while searching
  search_s = setting("SEARCH_S", 5),
  latency_s = setting("LATENCY_S", 120), -- section 26.2
  resolution = setting("RESOLUTION", 0.5), -- percent of line rate
  line_rate_bps = setting("LINE_RATE_GBPS", 10) * 1e9,
  output = setting("OUTPUT", "rfc2544.csv"),
  samples_file = setting("SAMPLES_FILE", "rfc2544-latency-ns.txt"),
}

-- Octets of a frame with its check sequence (RFC 2544, section 9.1).
local frame_sizes = { 64, 128, 256, 512, 1024, 1280, 1518 }
-- Preamble, start of frame and the gap between frames, which take up the line as well.
local gap_octets = 20
-- How long the last frames of a trial may take to come back.
local settle_ms = 2000
-- The most samples that Pktgen keeps a queue.
local latency_samples = 50000

local sender, receiver = tostring(settings.send_port), tostring(settings.receive_port)

-- The counters of a port. Pktgen changed the call's form more than once.
local function counters(port)
  local asked, stats = pcall(pktgen.portStats, port)
  if not asked then stats = pktgen.portStats(port, "port") end
  local of_port = stats[tonumber(port)]
  return of_port.curr or of_port
end

local function set_up()
  assert(settings.router_mac, "set ROUTER_MAC to the MAC of the router's port that the sending port is cabled to")
  pktgen.screen("off")
  pktgen.stop("all")
  -- Answers the router's ARP, so that it finds the destination.
  pktgen.process("all", "on")
  pktgen.set_proto("all", "udp")
  pktgen.set_mac(sender, "dst", settings.router_mac)
  pktgen.set_ipaddr(sender, "src", settings.source .. "/24")
  pktgen.set_ipaddr(sender, "dst", settings.destination)
  pktgen.set_ipaddr(receiver, "src", settings.destination .. "/24")
  pktgen.set_ipaddr(receiver, "dst", settings.source)
  pktgen.set(sender, "count", 0)
  local prefix, last = settings.source:match("^(.*%.)(%d+)$")
  pktgen.range.dst_mac(sender, "start", settings.router_mac)
  pktgen.range.src_ip(sender, "start", settings.source)
  pktgen.range.src_ip(sender, "min", settings.source)
  pktgen.range.src_ip(sender, "max", prefix .. math.min(254, last + settings.sources - 1))
  pktgen.range.src_ip(sender, "inc", "0.0.0.1")
  for _, which in ipairs({ "start", "min", "max" }) do
    pktgen.range.dst_ip(sender, which, settings.destination)
  end
  pktgen.range.dst_ip(sender, "inc", "0.0.0.0")
  pktgen.range.ip_proto(sender, "udp")
end

-- Sends for a time at a rate in percent of the line; packets sent and received.
local function trial(size, rate, seconds)
  pktgen.clr()
  pktgen.set(sender, "rate", rate)
  pktgen.set(sender, "size", size)
  for _, which in ipairs({ "start", "min", "max" }) do
    pktgen.range.pkt_size(sender, which, size)
  end
  pktgen.start(sender)
  pktgen.delay(seconds * 1000)
  pktgen.stop(sender)
  pktgen.delay(settle_ms)
  return counters(sender).opackets, counters(receiver).ipackets
end

local function lossless(size, rate, seconds)
  local sent, received = trial(size, rate, seconds)
  print(string.format("%5d octets  %6.2f %%  %4d s  sent %d  lost %d", size, rate, seconds, sent, sent - received))
  return sent > 0 and received >= sent, sent / seconds
end

-- The highest rate without a loss (RFC 2544, section 26.1), by halving; confirmed by a trial of full length.
local function throughput(size)
  pktgen.set_range(sender, "on")
  local low, high = 0, 100
  local rate = high
  while high - low > settings.resolution or rate == 100 do
    if lossless(size, rate, settings.search_s) then
      low = rate
      if rate == 100 then break end
    else
      high = rate
    end
    rate = (low + high) / 2
  end
  -- A rate that does not hold for the full time gives way step by step.
  rate = low
  while rate > 0 do
    local held, packets_per_second = lossless(size, rate, settings.trial_s)
    if held then return rate, packets_per_second end
    rate = rate - settings.resolution
  end
  return 0, 0
end

-- Latency in microseconds at the given rate: least, median, 99th percentile, largest.
local function latency(size, rate)
  -- A range of sources and timestamps exclude each other in Pktgen.
  pktgen.set_range(sender, "off")
  local per_second = math.max(1, math.floor(latency_samples / settings.latency_s))
  pktgen.latsampler_params(receiver, "simple", latency_samples, per_second, settings.samples_file)
  pktgen.latency(sender, "on")
  pktgen.latency(receiver, "on")
  pktgen.latsampler(receiver, "on")
  trial(size, rate, settings.latency_s)
  pktgen.latsampler(receiver, "off")
  pktgen.latency("all", "off")
  local samples_ns = {}
  for line in io.lines(settings.samples_file) do
    samples_ns[#samples_ns + 1] = tonumber(line)
  end
  table.sort(samples_ns)
  local function at(share)
    local sample_ns = samples_ns[math.max(1, math.ceil(share * #samples_ns))]
    return sample_ns and string.format("%.1f", sample_ns / 1000) or ""
  end
  return at(0), at(0.5), at(0.99), at(1)
end

set_up()
local file = assert(io.open(settings.output, "w"))
file:write("frame_octets,line_rate_percent,packets_per_second,bits_per_second,",
  "latency_min_us,latency_median_us,latency_p99_us,latency_max_us\n")
for _, size in ipairs(frame_sizes) do
  local rate, packets_per_second = throughput(size)
  local least, median, p99, largest = "", "", "", ""
  if rate > 0 then least, median, p99, largest = latency(size, rate) end
  file:write(string.format("%d,%.2f,%.0f,%.0f,%s,%s,%s,%s\n", size, rate, packets_per_second,
    packets_per_second * size * 8, least, median, p99, largest))
  file:flush()
  local most = settings.line_rate_bps / ((size + gap_octets) * 8)
  print(string.format("%5d octets: %.2f Mpps without loss, %.1f %% of what the line carries, median latency %s us",
    size, packets_per_second / 1e6, 100 * packets_per_second / most, median))
end
file:close()
print("written: " .. settings.output)
