import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, type Process, startProcess, unkai } from '../support/unkai.ts';

interface Deployed {
  readonly changed: boolean;
  readonly outputs: Readonly<Record<string, string>>;
  readonly endpoints: readonly { readonly name: string; readonly url: string }[];
}

interface QueueLine {
  readonly name: string;
  readonly waiting: number;
  readonly inFlight: number;
  readonly delayed: number;
}

interface Calls {
  readonly devices: Readonly<Record<string, { readonly calls: number; readonly successes: number }>>;
}

const example = 'examples/iot-provisioning';
let data: string;
let cloud: Process;
let vendor: Process;
let deployed: Deployed;
const api = (): string => deployed.endpoints[0]!.url;

const start = (port: string): Promise<Process> => {
  const reach = new URL(vendor.endpoint).port;
  return startProcess(['bin/unkai', 'start', '--port', port, '--data', data, '--reach', reach]);
};

beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), 'unkai-iot-'));
  vendor = await startProcess([`${example}/vendor.mjs`, '--port', '0', '--min-ms', '50', '--max-ms', '200']);
  cloud = await start('0');
  deployed = await deploy();
}, 120_000);

afterAll(async () => {
  await Promise.all([cloud?.end('SIGTERM'), vendor?.end('SIGTERM')]);
  await rm(data, { recursive: true, force: true });
});

async function deploy(): Promise<Deployed> {
  const parameters = [`VendorUrl=${vendor.endpoint}`, 'RetryDelaySeconds=1'].flatMap((parameter) => [
    '--parameter',
    parameter,
  ]);
  return (await unkai(cloud.endpoint, 'deploy', example, '--stack', 'iot', ...parameters)) as Deployed;
}

function register(macAddress: unknown, customerId: unknown = 'customer-1'): Promise<Response> {
  return fetch(`${api()}/devices`, { method: 'POST', body: JSON.stringify({ macAddress, customerId }) });
}

function tenDevices(block: string): string[] {
  return Array.from({ length: 10 }, (_, index) => `02:00:5e:10:${block}:${(index + 1).toString(16).padStart(2, '0')}`);
}

async function registerAll(devices: readonly string[]): Promise<void> {
  for (const macAddress of devices) {
    const answer = await register(macAddress);
    expect(answer.status).toBe(202);
    expect(await answer.json()).toEqual({ eventId: expect.stringMatching(/^[0-9a-f-]{36}$/) });
  }
}

function isEmpty({ waiting, inFlight, delayed }: QueueLine): boolean {
  return waiting + inFlight + delayed === 0;
}

async function statuses(devices: readonly string[]): Promise<(string | undefined)[]> {
  return Promise.all(
    devices.map(
      async (macAddress) =>
        ((await (await fetch(`${api()}/devices/${macAddress}`)).json()) as { status?: string }).status,
    ),
  );
}

async function queue(logicalId: string): Promise<QueueLine> {
  const lines = (await unkai(cloud.endpoint, 'queues')) as QueueLine[];
  return lines.find(({ name }) => name.includes(logicalId))!;
}

async function vendorCalls(): Promise<Calls['devices']> {
  return ((await (await fetch(`${vendor.endpoint}/calls`)).json()) as Calls).devices;
}

describe('examples/iot-provisioning', () => {
  it('tells where its API is', () => {
    expect(deployed.endpoints).toEqual([
      { name: 'Api', url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/_aws\/execute-api\/[a-z0-9]+$/) },
    ]);
    expect(deployed.outputs['ApiUrl']).toMatch(/^https:\/\/[a-z0-9]+\.execute-api\.us-east-1\.amazonaws\.com$/);
    expect(Object.keys(deployed.outputs)).toContain('DeadLetterQueueArn');
  });

  it('is left alone by a second deployment of the same', async () => {
    expect((await deploy()).changed).toBe(false);
  });

  it.each([
    ['no JSON', 'nonsense', 'not JSON'],
    ['no object', '[]', 'must be a JSON object'],
    ['no device', '{"customerId": "c"}', 'macAddress is missing'],
    ['a wrong address', '{"macAddress": "zz", "customerId": "c"}', 'not of the form'],
    ['no customer', '{"macAddress": "02:00:5e:10:00:01"}', 'customerId is missing'],
  ])('answers 400 to a body that is %s', async (_what, body, message) => {
    const answer = await fetch(`${api()}/devices`, { method: 'POST', body });
    expect(answer.status).toBe(400);
    expect(((await answer.json()) as { message: string }).message).toContain(message);
  });

  it('answers 404 for a device that nobody registered', async () => {
    expect((await fetch(`${api()}/devices/02:00:5e:ff:ff:ff`)).status).toBe(404);
  });

  it('retries what the vendor refuses, gives up in the dead-letter queue, and finishes after a redrive', async () => {
    const devices = tenDevices('00');
    await registerAll(devices);
    const isSettled = (status: string | undefined): boolean => status === 'provisioned' || status === 'failed';
    const settled = await eventually(
      'an end for every device',
      () => statuses(devices),
      (all) => all.every(isSettled),
    );
    // With the vendor's seed 1 the third device fails four times in a row, and no other more than twice.
    expect(devices.filter((_, index) => settled[index] === 'failed')).toEqual([devices[2]]);

    const dead = await eventually(
      'a dead letter',
      () => queue('ProvisioningDeadLetterQueue'),
      ({ waiting }) => waiting > 0,
    );
    expect(dead.waiting).toBe(1);
    expect(await unkai(cloud.endpoint, 'redrive', dead.name)).toEqual({ status: 'COMPLETED', moved: 1 });
    await eventually(
      'provisioned devices',
      () => statuses(devices),
      (all) => all.every((status) => status === 'provisioned'),
    );

    const calls = await vendorCalls();
    expect(devices.map((macAddress) => calls[macAddress]!.successes)).toEqual(devices.map(() => 1));
    expect(calls[devices[2]!]!.calls).toBe(5);
    await eventually('an empty queue', () => queue('ProvisioningQueue'), isEmpty);
  }, 200_000);

  it('finishes its work after the cloud was killed in the middle of it, duplicates and all', async () => {
    const devices = tenDevices('02');
    await unkai(
      cloud.endpoint,
      'fault',
      'set',
      'sqs.duplicate',
      deployed.outputs['QueueArn']!,
      '--rate',
      '0.3',
      '--seed',
      '1',
    );
    await registerAll(devices);

    // With messages in flight, functions at work and retries pending.
    await eventually(
      'two provisioned devices',
      () => statuses(devices),
      (all) => all.filter((status) => status === 'provisioned').length >= 2,
    );
    const port = new URL(cloud.endpoint).port;
    await cloud.end('SIGKILL');
    cloud = await start(port);
    expect((await deploy()).changed).toBe(false);

    // A crash costs a receive, so some may end in the dead-letter queue: they are redriven like any other.
    await eventually(
      'provisioned devices',
      async () => {
        const dead = await queue('ProvisioningDeadLetterQueue');
        if (dead.waiting > 0) await unkai(cloud.endpoint, 'redrive', dead.name);
        return statuses(devices);
      },
      (all) => all.every((status) => status === 'provisioned'),
      240_000,
    );
    const calls = await vendorCalls();
    for (const macAddress of devices) expect(calls[macAddress]!.successes).toBeGreaterThanOrEqual(1);
    // The vendor may have succeeded just when the cloud was killed, before the function could write that down. Nobody can
    // promise more, but that can only be what was under way then.
    expect(devices.filter((macAddress) => calls[macAddress]!.successes > 1).length).toBeLessThanOrEqual(5);
    await eventually('an empty queue', () => queue('ProvisioningQueue'), isEmpty, 90_000);
  }, 400_000);

  it('provisions a device once although its message is delivered again', async () => {
    const macAddress = '02:00:5e:10:01:04';
    await unkai(
      cloud.endpoint,
      'fault',
      'set',
      'sqs.duplicate',
      deployed.outputs['QueueArn']!,
      '--rate',
      '1',
      '--seed',
      '1',
    );
    expect((await register(macAddress)).status).toBe(202);
    const faults = async (): Promise<number> => {
      const { rules } = (await unkai(cloud.endpoint, 'fault', 'list')) as { rules: { faults: number }[] };
      return rules[0]?.faults ?? 0;
    };
    await eventually('a duplicate', faults, (count) => count >= 1);
    await eventually('an empty queue', () => queue('ProvisioningQueue'), isEmpty, 90_000);
    await unkai(cloud.endpoint, 'fault', 'clear');
    const calls = await vendorCalls();
    expect(calls[macAddress]!.successes).toBe(1);
    const { status } = (await (await fetch(`${api()}/devices/${macAddress}`)).json()) as { status: string };
    expect(status).toBe('provisioned');
  }, 200_000);

  it('leaves nothing behind when its stack is deleted', async () => {
    await unkai(cloud.endpoint, 'delete', 'iot');
    const left = (await unkai(cloud.endpoint, 'status')) as {
      functions: string[];
      queues: string[];
      tables: string[];
      stacks: object[];
    };
    expect(left).toMatchObject({ functions: [], queues: [], tables: [], stacks: [] });
  }, 60_000);
});
