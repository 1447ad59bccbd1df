#!/usr/bin/env node
// The vendor's provisioning API: slow, failing by a seeded rate, and counting what it was asked.
//
//   node vendor.mjs [--port 4580] [--fail-rate 0.3] [--seed 1] [--min-ms 100] [--max-ms 500]
//
//   POST /provision {"macAddress": "…"}  → 200 {"certificateId": "…"}, or 503
//   GET  /calls                          → {"calls": n, "successes": n, "devices": {mac: {"calls": n, "successes": n}}}
//
// Whether a call fails depends on the seed, the device and how often it has called before, and on nothing else: the same
// devices meet the same failures in whatever order they come.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '4580' },
    'fail-rate': { type: 'string', default: '0.3' },
    seed: { type: 'string', default: '1' },
    'min-ms': { type: 'string', default: '100' },
    'max-ms': { type: 'string', default: '500' },
  },
});
const failRate = numberOption('fail-rate', 0, 1);
const minMs = numberOption('min-ms', 0, 60_000);
const maxMs = numberOption('max-ms', minMs, 60_000);
const devices = new Map();

const server = createServer(async (request, response) => {
  try {
    if (request.method === 'GET' && request.url === '/calls') return answer(response, 200, counts());
    if (request.method === 'POST' && request.url === '/provision') return await provision(request, response);
    answer(response, 404, { message: 'POST /provision or GET /calls' });
  } catch (error) {
    answer(response, 400, { message: error.message });
  }
});

server.on('error', (error) => {
  process.stderr.write(`the vendor cannot listen on port ${values.port}: ${error.message}\n`);
  process.exit(1);
});
server.listen(numberOption('port', 0, 65_535), '127.0.0.1', () => {
  process.stdout.write(`vendor ready on http://127.0.0.1:${server.address().port}\n`);
});

async function provision(request, response) {
  let body = '';
  for await (const chunk of request) body += chunk;
  const { macAddress } = JSON.parse(body);
  if (typeof macAddress !== 'string') throw new Error('macAddress is missing');
  const device = devices.get(macAddress) ?? { calls: 0, successes: 0 };
  devices.set(macAddress, device);
  device.calls++;
  const call = device.calls;
  await new Promise((resolve) => setTimeout(resolve, minMs + chance('slow', macAddress, call) * (maxMs - minMs)));
  if (chance('fail', macAddress, call) < failRate)
    return answer(response, 503, { message: 'the vendor is overloaded' });
  device.successes++;
  answer(response, 200, { certificateId: createHash('sha256').update(macAddress).digest('hex').slice(0, 16) });
}

/** A number from 0 to 1 that depends on the arguments and the seed only. */
function chance(...what) {
  return (
    createHash('sha256')
      .update([values.seed, ...what].join('\n'))
      .digest()
      .readUInt32BE() /
    2 ** 32
  );
}

function counts() {
  const all = [...devices.values()];
  const sum = (name) => all.reduce((total, device) => total + device[name], 0);
  return { calls: sum('calls'), successes: sum('successes'), devices: Object.fromEntries(devices) };
}

function answer(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

function numberOption(name, min, max) {
  const value = Number(values[name]);
  if (value >= min && value <= max) return value;
  process.stderr.write(`--${name} is a number from ${min} to ${max}, not '${values[name]}'\n`);
  process.exit(2);
}
