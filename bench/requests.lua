-- What wrk sends: the lines of a file, "PATH<TAB>AUTHORIZATION", one after the other. It prints what it saw as JSON.
local lines = {}

function init(args)
    for line in io.lines(args[1]) do
        local path, authorization = line:match("([^\t]*)\t([^\t]*)")
        local headers = { ["Host"] = wrk.headers["Host"], ["Authorization"] = authorization, ["Accept"] = args[2] }
        lines[#lines + 1] = wrk.format("GET", path, headers)
    end
    math.randomseed(tonumber(tostring({}):match("0x(%x+)"), 16) % 2 ^ 31)
    local at = math.random(#lines)
    if #lines == 1 then
        wrk.format = function() return lines[1] end     -- wrk makes it once
    else
        request = function()
            at = at % #lines + 1
            return lines[at]
        end
    end
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '\n{"requests": %d, "bytes": %d, "seconds": %f, "p50": %f, "p99": %f, "refused": %d, "failed": %d}\n',
        summary.requests, summary.bytes, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
