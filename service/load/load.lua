-- For wrk: posts the file named after "--" and ends with one line of JSON; see tools.py.

function init(args)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = args[2]
  wrk.body = assert(io.open(args[1], "rb")):read("*a")
end

function done(summary, latency)
  local errors = summary.errors
  local parts = {}
  for _, percentage in ipairs({50, 75, 90, 95, 99, 99.9}) do
    table.insert(parts, string.format('"%g": %.4f', percentage, latency:percentile(percentage) / 1e3))
  end
  table.insert(parts, string.format('"100": %.4f', latency.max / 1e3))
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.6f, "failed": %d, "latencies_ms": {%s}}\n',
    summary.requests,
    summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    table.concat(parts, ", ")
  ))
end
