-- Wireshark dissector of VRRP load sharing: the message types 2 to 8, as docs/protocol.md lays them out. Advertisements
-- (type 1) stay with Wireshark's own VRRP dissector. Authentication codes are shown, not verified.
--
-- Use: tshark -X lua_script:vrrp-sharing.lua …, or copy it into Wireshark's personal plugin folder.

local sharing = Proto("vrrp_sharing", "VRRP load sharing")

local types = {
  [2] = "advertisement response", [3] = "allocation", [4] = "allocation confirmation",
  [5] = "sequence number information", [6] = "review request", [7] = "flow rate request",
  [8] = "flow rate response",
}
local states = {
  [1] = "working", [2] = "suspended", [3] = "draining", [4] = "faulty",
  [5] = "substitution-server", [6] = "substitution-server-faulty",
}
local modes = { [1] = "timer", [2] = "sequence" }
local move_statuses = {
  [1] = "preparing", [2] = "ready", [3] = "withdrawn", [4] = "kept",
  [5] = "waiting", [6] = "holding", [7] = "finished", [8] = "stood down",
}
local answer_statuses = { [1] = "withdrawn", [2] = "still routing", [3] = "kept" }
local kinds = { [1] = "full", [2] = "difference" }
local seens = { [0] = "configured", [1] = "information reply", [2] = "neighbour", [3] = "traffic" }
local authentications = { [0] = "none", [3] = "HMAC-SHA-256" }
local thresholds = { [1] = "rate", [2] = "overflows" }

local HEAD_LEN, HMAC_LEN, INDEX_NONE = 48, 16, 255

local f = {}
local function field(kind, name, title, ...)
  f[name] = ProtoField[kind]("vrrp_sharing." .. name, title, ...)
end
field("uint8", "version", "Version", base.DEC, nil, 0xf0)
field("uint8", "type", "Type", base.DEC, types, 0x0f)
field("uint8", "vrid", "VRID")
field("uint8", "priority", "Priority")
field("uint8", "count", "Count")
field("uint8", "authentication", "Authentication type", base.DEC, authentications)
field("uint16", "checksum", "Checksum", base.HEX)
field("uint8", "extension_version", "Extension version")
field("uint8", "key", "Key id")
field("uint16", "body_len", "Body length")
field("ipv4", "router", "Router id")
field("uint64", "boot", "Boot id", base.HEX)
field("uint64", "number", "Message number")
field("uint32", "epoch", "Epoch counter")
field("ipv4", "issuer", "Epoch issuer")
field("uint32", "generation", "Generation")
field("uint16", "fragment", "Fragment")
field("uint16", "fragments", "Fragments")
field("bytes", "hmac", "Authentication code")
field("uint8", "state", "State", base.DEC, states)
field("uint8", "master", "Master", base.DEC, nil, 0x01)
field("uint8", "wants_table", "Wants a full table", base.DEC, nil, 0x02)
field("uint8", "authority", "Allocates", base.DEC, nil, 0x04)
field("uint16", "weight", "Weight")
field("uint8", "mode", "Mode", base.DEC, modes)
field("uint32", "entries", "Conditions in the table")
field("uint64", "digest", "Digest of the table", base.HEX)
field("uint8", "accepted_key", "Key accepted")
field("ipv4", "member", "Router")
field("uint32", "challenge", "Challenge")
field("uint32", "echo", "Echo")
field("uint16", "missing_first", "First fragment missing")
field("uint16", "missing_last", "Last fragment missing")
field("ipv4", "from", "From (P)")
field("ipv4", "to", "To (N)")
field("uint16", "batch", "Batch")
field("uint8", "move_status", "Move", base.DEC, move_statuses)
field("uint8", "kind", "Kind", base.DEC, kinds)
field("ipv4", "condition_v4", "Condition")
field("ipv6", "condition_v6", "Condition")
field("ipv4", "first_v4", "First condition")
field("ipv6", "first_v6", "First condition")
field("ipv4", "last_v4", "Last condition")
field("ipv6", "last_v6", "Last condition")
field("ipv4", "node_v4", "Node")
field("ipv6", "node_v6", "Node")
field("ipv4", "src_v4", "First unrouted, source")
field("ipv6", "src_v6", "First unrouted, source")
field("ipv4", "dst_v4", "First unrouted, destination")
field("ipv6", "dst_v6", "First unrouted, destination")
field("uint16", "src_port", "First unrouted, source port")
field("uint16", "dst_port", "First unrouted, destination port")
field("uint32", "sequence_number", "First unrouted, sequence number")
field("uint8", "in_charge", "In charge (index)")
field("uint8", "move", "Move (index)")
field("uint8", "behind", "Node (index)")
field("uint8", "seen", "Seen by", base.DEC, seens)
field("uint16", "seen_ago", "Seen ago (s)")
field("uint32", "rate_kbit", "Rate (kbit/s)")
field("uint8", "answer_status", "Answer", base.DEC, answer_statuses)
field("uint8", "overflowed", "Overflowed", base.DEC, nil, 0x01)
field("uint8", "first_unrouted", "First unrouted TCP packet given", base.DEC, nil, 0x02)
field("uint64", "fingerprint", "Fingerprint", base.HEX)
field("uint8", "passed", "Threshold passed", base.DEC, thresholds)
field("uint64", "figure", "Figure")
field("uint64", "threshold", "Threshold")
field("uint32", "request", "Request")
field("uint32", "window", "Window (ms)")
field("uint64", "total", "Total (bit/s)")
field("uint64", "overflows", "Overflows")
field("uint64", "rate", "Rate (bit/s)")
local list = {}
for _, one in pairs(f) do list[#list + 1] = one end
sharing.fields = list

local malformed = ProtoExpert.new("vrrp_sharing.malformed", "Lengths and counts disagree",
  expert.group.MALFORMED, expert.severity.ERROR)
sharing.experts = { malformed }

-- What is left to read of a message, and where it is shown. Reading beyond the end raises "short".
local function reader(buffer, offset, finish, tree, v6)
  local r = { tree = tree }
  function r.take(len)
    if offset + len > finish then error("short", 0) end
    local range = buffer(offset, len)
    offset = offset + len
    return range
  end
  function r.add(name, len)
    local range = r.take(len)
    r.tree:add(f[name], range)
    return range
  end
  function r.u8(name) return r.add(name, 1):uint() end
  function r.u16(name) return r.add(name, 2):uint() end
  function r.u32(name) return r.add(name, 4) end
  function r.u64(name) return r.add(name, 8) end
  function r.address(name)
    if v6 then return r.add(name .. "_v6", 16) end
    return r.add(name .. "_v4", 4)
  end
  function r.flags(...)
    local range = r.take(1)
    for _, name in ipairs({ ... }) do r.tree:add(f[name], range) end
    return range:uint()
  end
  function r.skip(len) r.take(len) end
  function r.version()
    r.u32("epoch")
    r.u32("issuer")
    r.u32("generation")
  end
  function r.each(count, title, read)
    local parent = r.tree
    for number = 0, count - 1 do
      if offset >= finish then error("short", 0) end
      r.tree = parent:add(buffer(offset, 1), title .. " " .. number)
      local start = offset
      read()
      r.tree:set_len(offset - start)
    end
    r.tree = parent
  end
  function r.left() return finish - offset end
  return r
end

local function missing(r, count)
  r.each(count, "Missing", function()
    r.u16("missing_first")
    r.u16("missing_last")
  end)
end

local bodies = {}

bodies[2] = function(r, count)
  r.u8("state")
  r.flags("master", "wants_table", "authority")
  r.u16("weight")
  r.u8("mode")
  local keys, ranges, moves = r.take(1):uint(), r.take(1):uint(), r.take(1):uint()
  r.u32("entries")
  r.u64("digest")
  r.version()
  local sightings = r.take(2):uint()
  for _ = 1, keys do r.u8("accepted_key") end
  r.each(count, "Acquaintance", function()
    r.u32("member")
    r.u64("boot")
    r.u32("challenge")
    r.u32("echo")
  end)
  missing(r, ranges)
  r.each(moves, "Move", function()
    r.version()
    r.u32("from")
    r.u32("to")
    r.u16("batch")
    r.u8("move_status")
    for _ = 1, r.take(1):uint() do r.address("condition") end
  end)
  r.each(sightings, "Sighting", function()
    r.address("condition")
    r.address("node")
    r.u8("seen")
  end)
end

bodies[3] = function(r, count)
  r.u8("kind")
  r.u8("mode")
  local routers, nodes, moves = r.take(1):uint(), r.take(1):uint(), r.take(1):uint()
  r.skip(3)
  r.version()
  r.u32("entries")
  r.u64("digest")
  r.address("first")
  r.address("last")
  r.each(routers, "Router", function()
    r.u32("member")
    r.u8("state")
    r.skip(1)
    r.u16("weight")
  end)
  r.each(nodes, "Node", function() r.address("node") end)
  r.each(moves, "Move", function()
    r.version()
    r.u16("batch")
    r.tree:add(f.in_charge, r.take(1)):prepend_text("From ")
    r.tree:add(f.in_charge, r.take(1)):prepend_text("To ")
  end)
  r.each(count, "Condition", function()
    r.address("condition")
    r.u8("in_charge")
    r.u8("move")
    r.u8("behind")
    r.u8("seen")
    r.u16("seen_ago")
    r.u32("rate_kbit")
  end)
end

bodies[4] = function(r, count)
  r.u32("from")
  r.u32("to")
  r.u16("batch")
  r.u8("mode")
  r.skip(1)
  missing(r, count)
end

bodies[5] = function(r, count)
  r.u32("from")
  r.u32("to")
  r.u16("batch")
  r.u8("mode")
  r.u8("answer_status")
  r.each(count, "Accepted", function()
    r.address("condition")
    local flags = r.flags("overflowed", "first_unrouted")
    r.skip(1)
    local fingerprints = r.take(2):uint()
    if flags % 4 >= 2 then
      r.address("src")
      r.address("dst")
      r.u16("src_port")
      r.u16("dst_port")
      r.u32("sequence_number")
    end
    for _ = 1, fingerprints do r.u64("fingerprint") end
  end)
end

bodies[6] = function(r)
  r.u8("passed")
  r.skip(3)
  r.u64("figure")
  r.u64("threshold")
end

bodies[7] = function(r) r.u32("request") end

bodies[8] = function(r, count)
  r.u32("request")
  r.u32("window")
  r.u64("total")
  r.u64("overflows")
  r.each(count, "Condition", function()
    r.address("condition")
    r.u64("rate")
  end)
end

local original = DissectorTable.get("ip.proto"):get_dissector(112)
local ip_version = Field.new("ip.version")

function sharing.dissector(buffer, pinfo, tree)
  local message_type = buffer:len() > 0 and buffer(0, 1):bitfield(4, 4) or 1
  if not bodies[message_type] then return original:call(buffer, pinfo, tree) end
  pinfo.cols.protocol = "VRRP+"
  pinfo.cols.info = types[message_type]
  local root = tree:add(sharing, buffer())
  root:append_text(": " .. types[message_type])
  if buffer:len() < HEAD_LEN + HMAC_LEN then
    root:add_proto_expert_info(malformed)
    return buffer:len()
  end
  local versions = { ip_version() }
  local v6 = #versions > 0 and versions[#versions].value == 6 or #versions == 0
  local finish = buffer:len() - HMAC_LEN
  local r = reader(buffer, 0, finish, root, v6)
  r.flags("version", "type")
  r.u8("vrid")
  r.u8("priority")
  local count = r.u8("count")
  r.u8("authentication")
  r.skip(1)
  r.u16("checksum")
  r.u8("extension_version")
  r.u8("key")
  local body_len = r.u16("body_len")
  r.u32("router")
  r.u64("boot")
  r.u64("number")
  r.version()
  local fragment = r.u16("fragment")
  local fragments = r.u16("fragments")
  if fragments > 1 then
    pinfo.cols.info:append(string.format(" %d of %d", fragment + 1, fragments))
  end
  local complete = pcall(bodies[message_type], r, count)
  if not complete or r.left() ~= 0 or body_len ~= finish - HEAD_LEN then
    root:add_proto_expert_info(malformed)
  end
  root:add(f.hmac, buffer(finish, HMAC_LEN))
  return buffer:len()
end

DissectorTable.get("ip.proto"):set(112, sharing)
