#!/usr/bin/env node
// npm start: starts a cloud on the embedded store, deploys examples/iot-provisioning, registers ten devices and shows how they
// fare with a vendor whose API fails; then stays up. `npm start -- --once` stops by itself, its outcome the exit code.
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import './prepare.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values: options } = parseArgs({
  options: {
    once: { type: 'boolean', default: false },
    port: { type: 'string', default: '4566' },
    data: { type: 'string', default: join(root, '.unkai') },
    'vendor-port': { type: 'string', default: '4580' },
  },
});

const stack = 'iot-provisioning';
const devices = Array.from({ length: 10 }, (_, index) => `02:00:5e:10:00:${(index + 1).toString(16).padStart(2, '0')}`);
/** Enough for three attempts, a redrive and a slow machine. */
const patienceMs = 120_000;
const children = [];
const isTerminal = process.stdout.isTTY === true;
const paint = (code) => (text) => (isTerminal ? `\x1b[${code}m${text}\x1b[0m` : text);
const [bold, dim, green, red, yellow] = [1, 2, 32, 31, 33].map(paint);
const sleep = (delayMs) => new Promise((resolve) => setTimeout(resolve, delayMs));
const stage = (text) => process.stdout.write(`${bold('▸')} ${text}\n`);
const detail = (text) => process.stdout.write(`  ${text}\n`);

process.on('exit', () => {
  for (const child of children) child.kill('SIGTERM');
});
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    interrupted = true;
    for (const child of children) child.kill('SIGTERM');
    Promise.all(children.map(ended)).then(() => process.exit(130));
  });
}

let failure;
try {
  await run();
} catch (error) {
  failure = error;
}
if (!interrupted) {
  if (failure !== undefined) process.stdout.write(`${red('failed')} ${failure.message}\n`);
  if (failure !== undefined || options.once) {
    for (const child of children) child.kill('SIGTERM');
    await Promise.all(children.map(ended));
    process.exitCode = failure === undefined ? 0 : 1;
  } else await Promise.all(children.map(ended));
}

async function run() {
  const endpoint = await cloud();
  const vendorUrl = await vendor();
  // Functions that have a network of their own do not reach this machine, save for what they are let reach.
  await cli(endpoint, ['reach', new URL(vendorUrl).port]);

  stage('deploying examples/iot-provisioning from its SAM template');
  const deployed = await cli(endpoint, [
    'deploy',
    join(root, 'examples/iot-provisioning'),
    '--stack',
    stack,
    '--parameter',
    `VendorUrl=${vendorUrl}`,
  ]);
  const api = deployed.endpoints[0].url;
  const { QueueUrl: queueUrl, QueueArn: queueArn, DeadLetterQueueArn: deadLetterArn } = deployed.outputs;
  const deadLetterName = deadLetterArn.split(':').at(-1);
  detail(`${deployed.changed ? 'deployed' : 'is up to date'}: ${api}`);
  await sweepEarlierRun(endpoint, queueUrl, deadLetterName);

  stage('asking the queue to deliver some messages twice, as SQS may (fault point sqs.duplicate)');
  await cli(endpoint, ['fault', 'set', 'sqs.duplicate', queueArn, '--rate', '0.3', '--seed', '1']);

  stage(`registering ${devices.length} devices through the HTTP API`);
  for (const macAddress of devices) await register(api, macAddress);

  stage('provisioning: the vendor is slow and fails for some');
  await settle(api, devices, 3);
  const before = await vendorCalls(vendorUrl);
  const retried = devices.filter((macAddress) => (before.devices[macAddress]?.calls ?? 0) > 1);
  detail(`the vendor was called ${before.calls} times and succeeded ${before.successes} times`);
  detail(`it failed for ${retried.length} devices, which were tried again: ${retried.join(', ')}`);

  const dead = await deadLetters(endpoint, deadLetterName);
  stage(`${dead} message${dead === 1 ? '' : 's'} went to the dead-letter queue after three attempts`);
  if (dead === 0) throw new Error('a message was expected in the dead-letter queue');

  stage('redriving the dead-letter queue');
  const moved = await cli(endpoint, ['redrive', deadLetterName]);
  detail(`${moved.moved} moved back: ${moved.status}`);
  await settle(api, devices, 0);

  const faults = await cli(endpoint, ['fault', 'list']);
  const duplicates = faults.rules.find(({ point }) => point === 'sqs.duplicate')?.faults ?? 0;
  await cli(endpoint, ['fault', 'clear']);
  const after = await vendorCalls(vendorUrl);
  const wrong = devices.filter((macAddress) => after.devices[macAddress]?.successes !== 1);
  stage(
    `${duplicates} deliveries were duplicates; the vendor succeeded once for each of ${devices.length - wrong.length} devices, in ${after.calls} calls`,
  );
  if (duplicates === 0) throw new Error('no message was delivered twice although that was asked for');
  if (wrong.length > 0) throw new Error(`the vendor did not succeed exactly once for ${wrong.join(', ')}`);
  process.stdout.write(`${green('every device is provisioned, each exactly once')}\n`);
  if (!options.once) tellHow(endpoint, api);
}

/** The cloud that runs at the port already, or a new one. */
async function cloud() {
  const wanted = `http://127.0.0.1:${options.port}`;
  const running = await fetch(`${wanted}/_unkai/status`)
    .then((answer) => answer.json())
    .catch(() => undefined);
  if (running?.name === 'unkai') {
    stage(
      `a cloud is running at ${wanted} already (process ${running.pid}); using it, and leaving it as it is at the end`,
    );
    return wanted;
  }
  const child = spawn(
    process.execPath,
    [join(root, 'bin/unkai'), 'start', '--port', options.port, '--data', options.data],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const [line, endpoint] = await readyLine(child, 'the cloud');
  stage(`the cloud is ${line}`);
  return endpoint;
}

/** The vendor on the port that the template's default names, or on a free one. */
async function vendor() {
  const port = (await isFree(Number(options['vendor-port']))) ? options['vendor-port'] : '0';
  const child = spawn(process.execPath, [join(root, 'examples/iot-provisioning/vendor.mjs'), '--port', port], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line, endpoint] = await readyLine(child, 'the vendor');
  stage(`the ${line}: slow, failing 3 calls in 10`);
  return endpoint;
}

function readyLine(child, what) {
  children.push(child);
  return new Promise((resolve, reject) => {
    let text = '';
    child.once('exit', (code) => reject(new Error(`${what} did not start (exit code ${code})`)));
    child.stdout.on('data', (chunk) => {
      text += chunk;
      const match = /^.*?(ready on (http:\/\/\S+).*)$/m.exec(text);
      if (match === null) return;
      child.removeAllListeners('exit');
      resolve([match[0].trim(), match[2]]);
    });
  });
}

/** What an interrupted run has left would count against this one. */
async function sweepEarlierRun(endpoint, queueUrl, deadLetterName) {
  const queues = await cli(endpoint, ['queues']);
  const left = queues.filter(
    ({ url, name, waiting, inFlight, delayed }) =>
      (url === queueUrl || name === deadLetterName) && waiting + inFlight + delayed > 0,
  );
  for (const { url, name, waiting, inFlight, delayed } of left) {
    detail(yellow(`an earlier run left ${waiting + inFlight + delayed} messages in ${name}: purged`));
    await fetch(endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.PurgeQueue' },
      body: JSON.stringify({ QueueUrl: url }),
    });
  }
}

async function register(api, macAddress) {
  const answer = await fetch(`${api}/devices`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ macAddress, customerId: 'customer-1' }),
  });
  const body = await answer.json();
  if (answer.status !== 202)
    throw new Error(`registering ${macAddress} answered ${answer.status}: ${JSON.stringify(body)}`);
  detail(`${macAddress} ${dim(`registered as event ${body.eventId}`)}`);
}

/** Follows the devices until all are provisioned or, where so many may, failed for good. */
async function settle(api, macAddresses, mayFail) {
  const shown = new Map();
  for (const endAt = Date.now() + patienceMs; Date.now() < endAt; await sleep(150)) {
    const statuses = await Promise.all(
      macAddresses.map(async (macAddress) => {
        const { status } = await (await fetch(`${api}/devices/${encodeURIComponent(macAddress)}`)).json();
        if (shown.get(macAddress) !== status)
          detail(
            `${macAddress} ${status === 'provisioned' ? green(status) : status === 'failed' ? red(status) : dim(status)}`,
          );
        shown.set(macAddress, status);
        return status;
      }),
    );
    const failed = statuses.filter((status) => status === 'failed').length;
    if (statuses.every((status) => status === 'provisioned' || status === 'failed') && failed <= mayFail) return;
  }
  throw new Error(
    `the devices have not settled after ${patienceMs / 1000} s: ${JSON.stringify(Object.fromEntries(shown))}`,
  );
}

/** A message moves when it would be received once more: wait for that. */
async function deadLetters(endpoint, name) {
  for (const endAt = Date.now() + patienceMs; Date.now() < endAt; await sleep(200)) {
    const queue = (await cli(endpoint, ['queues'])).find((candidate) => candidate.name === name);
    if (queue.waiting > 0) return queue.waiting;
  }
  return 0;
}

async function vendorCalls(url) {
  return (await fetch(`${url}/calls`)).json();
}

/** Runs a command of the CLI; its JSON. */
function cli(endpoint, args) {
  const child = spawn(process.execPath, [join(root, 'bin/unkai'), ...args, '--json', '--endpoint', endpoint], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += chunk;
  });
  return new Promise((resolve, reject) => {
    child.on('exit', () => {
      const answer = JSON.parse(text === '' ? '{"error": {"message": "the CLI said nothing"}}' : text);
      if (answer.error === undefined) resolve(answer);
      else reject(new Error(`unkai ${args[0]}: ${answer.error.message}`));
    });
  });
}

function tellHow(endpoint, api) {
  const port = new URL(endpoint).port;
  process.stdout.write(`
The cloud stays up at ${bold(endpoint)}. Reach it with the AWS CLI:

  export AWS_ENDPOINT_URL=${endpoint} AWS_DEFAULT_REGION=us-east-1 AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
  aws sqs list-queues --endpoint-url $AWS_ENDPOINT_URL   # version 1 of the CLI needs it said for SQS
  aws dynamodb list-tables
  curl ${api}/devices/${devices[0]}

or with its own: ./unkai status, ./unkai queues, ./unkai logs --follow${port === '4566' ? '' : ` (with --endpoint ${endpoint})`}.
Stop it with Ctrl-C, or from elsewhere with ./unkai stop${port === '4566' ? '' : ` --endpoint ${endpoint}`}.
`);
}

function ended(child) {
  return child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise((resolve) => child.once('exit', resolve));
}

function isFree(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
