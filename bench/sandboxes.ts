import { connect } from 'node:net';
import { createFunction, invokeRequest, lambdaHeaders } from './invocations.ts';
import { load } from './load.ts';
import { anonymousMiB, type Running, timeProcess } from './processes.ts';
import { median, type Result, result } from './report.ts';

interface Options {
  readonly startCloud: (...args: string[]) => Promise<Running>;
}

const coldRounds = 30;
const idleFunctions = 1_000;
const burstAsked = 200;
const burstEnvironments = 150;

/** Cold starts, what bubblewrap adds to them, what functions cost that nobody calls, and the tail of warm invocations. */
export async function sandboxes({ startCloud }: Options): Promise<Result[]> {
  return [
    ...(await coldStarts(startCloud)),
    await thaw(startCloud),
    await burst(startCloud),
    await idle(startCloud),
    await tail(startCloud),
  ];
}

/** Each function is invoked once: from the request to the answer, its sandbox is started in between. */
async function coldStarts(startCloud: Options['startCloud']): Promise<Result[]> {
  const clouds = {
    process: await startCloud('--sandbox', 'process'),
    bubblewrap: await startCloud('--sandbox', 'bubblewrap'),
  };
  const kinds = ['process', 'bubblewrap'] as const;
  const took: Record<(typeof kinds)[number] | 'floor', number[]> = { process: [], bubblewrap: [], floor: [] };
  for (const kind of kinds) {
    for (let round = 0; round <= coldRounds; round++) await createFunction(clouds[kind].port, `cold-${round}`);
  }
  for (let round = 0; round <= coldRounds; round++) {
    const floor = await timeProcess(['-e', '0']);
    if (round > 0) took.floor.push(floor);
    for (const kind of kinds) {
      const answered = await timeInvoke(clouds[kind].port, `cold-${round}`);
      if (round > 0) took[kind].push(answered);
      // What an environment leaves to be done behind the answer is not the next one's.
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
  }
  await Promise.all(kinds.map((kind) => clouds[kind].stop()));
  const [floor, plain, wrapped] = [median(took.floor), median(took.process), median(took.bubblewrap)];
  const ms = (value: number): string => `${value.toFixed(1)} ms`;
  return [
    result('cold start, plain process', ms(plain), `node -e 0: ${ms(floor)}`, plain / floor, '<= 1.5'),
    result('cold start, bubblewrap', ms(wrapped), `node -e 0: ${ms(floor)}`, wrapped / floor, undefined),
    result("bubblewrap's cost of a cold start", ms(wrapped - plain), '25 ms', (wrapped - plain) / 25, '<= 1'),
  ];
}

function timeInvoke(port: number, name: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.once('error', reject);
    socket.once('connect', () => {
      const startedAt = performance.now();
      socket.write(invokeRequest(port, name));
      socket.once('data', (bytes: Buffer) => {
        const tookMs = performance.now() - startedAt;
        socket.end();
        const head = bytes.toString('latin1');
        if (head.startsWith('HTTP/1.1 200') && !/x-amz-function-error/i.test(head)) resolve(tookMs);
        else reject(new Error(head));
      });
    });
  });
}

/** What an invocation costs more when its environment has been frozen meanwhile. */
async function thaw(startCloud: Options['startCloud']): Promise<Result> {
  const cloud = await startCloud();
  await createFunction(cloud.port, 'rests');
  await timeInvoke(cloud.port, 'rests');
  const rested: Record<'awake' | 'frozen', number[]> = { awake: [], frozen: [] };
  for (let round = 0; round < 60; round++) {
    for (const [state, pauseMs] of [
      ['awake', 10],
      ['frozen', 120],
    ] as const) {
      await timeInvoke(cloud.port, 'rests');
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      rested[state].push(await timeInvoke(cloud.port, 'rests'));
    }
  }
  await cloud.stop();
  const cost = median(rested.frozen) - median(rested.awake);
  return result('thawing a frozen environment', `${cost.toFixed(2)} ms`, '1 ms', cost, '<= 1');
}

/** As many environments at once as a reservation allows, of more that are asked for, beside bare process starts, two at a time. */
async function burst(startCloud: Options['startCloud']): Promise<Result> {
  const cloud = await startCloud();
  await createFunction(cloud.port, 'burst');
  const concurrency = `http://127.0.0.1:${cloud.port}/2017-10-31/functions/burst/concurrency`;
  const reserved = JSON.stringify({ ReservedConcurrentExecutions: burstEnvironments });
  const answer = await fetch(concurrency, { method: 'PUT', headers: lambdaHeaders, body: reserved });
  if (!answer.ok) throw new Error(`PutFunctionConcurrency answered ${answer.status}: ${await answer.text()}`);
  const startedAt = performance.now();
  const outcomes = await Promise.allSettled(Array.from({ length: burstAsked }, () => timeInvoke(cloud.port, 'burst')));
  const tookMs = performance.now() - startedAt;
  await cloud.stop();
  const answered = outcomes.filter(({ status }) => status === 'fulfilled').length;
  const bareAt = performance.now();
  for (let index = 0; index < burstEnvironments; index += 2) {
    await Promise.all([timeProcess(['-e', '0']), timeProcess(['-e', '0'])]);
  }
  const bareMs = performance.now() - bareAt;
  return result(
    `burst of ${burstAsked}, ${burstEnvironments} at once: ${answered} answered, ${burstAsked - answered} refused`,
    `${Math.round(tookMs)} ms`,
    `${burstEnvironments} bare starts: ${Math.round(bareMs)} ms`,
    tookMs / bareMs,
    undefined,
  );
}

async function idle(startCloud: Options['startCloud']): Promise<Result> {
  const cloud = await startCloud();
  // What a process takes up when it does such work for the first time is not the functions' cost.
  await deploy(cloud.port, 'warm-up', 300);
  for (let index = 0; index < 300; index++) await deleteFunction(cloud.port, `warm-up-${index}`);
  const settled = async (): Promise<number> => {
    // The garbage of the requests is collected when the process has been idle for a while, if at all: the least of some looks counts.
    const looks: number[] = [];
    for (let look = 0; look < 8; look++) {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      looks.push(anonymousMiB(cloud.pid));
    }
    return Math.min(...looks);
  };
  const before = await settled();
  await deploy(cloud.port, 'idle', idleFunctions);
  const cost = (await settled()) - before;
  await cloud.stop();
  return result(
    `${idleFunctions.toLocaleString('en')} idle functions`,
    `${cost.toFixed(1)} MiB`,
    '20 MiB of anonymous memory',
    cost / 20,
    '<= 1',
  );
}

async function deploy(port: number, prefix: string, count: number): Promise<void> {
  const names = Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
  for (let at = 0; at < names.length; at += 10) {
    await Promise.all(names.slice(at, at + 10).map((name) => createFunction(port, name)));
  }
}

async function deleteFunction(port: number, name: string): Promise<void> {
  const path = `http://127.0.0.1:${port}/2015-03-31/functions/${name}`;
  const answer = await fetch(path, { method: 'DELETE', headers: lambdaHeaders });
  if (!answer.ok) throw new Error(`DeleteFunction answered ${answer.status}: ${await answer.text()}`);
}

/** At half of the rate that eight connections reach, requests come when they come, whether or not earlier ones have been answered. */
async function tail(startCloud: Options['startCloud']): Promise<Result> {
  const cloud = await startCloud();
  await createFunction(cloud.port, 'bench');
  const request = invokeRequest(cloud.port, 'bench');
  const saturate = (durationMs: number) =>
    load({ port: cloud.port, connections: 8, durationMs, request: () => request });
  await saturate(2_000);
  const { perSecond } = await saturate(4_000);
  const latencies = await openLoop(cloud.port, request, perSecond / 2, 10_000);
  await cloud.stop();
  latencies.sort((one, other) => one - other);
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)]!;
  return result(
    `p99 of warm Invoke at ${Math.round(perSecond / 2)}/s, half of saturation`,
    `${at(0.99).toFixed(2)} ms`,
    `p50: ${at(0.5).toFixed(2)} ms`,
    at(0.99) / at(0.5),
    '<= 8',
  );
}

/** Latencies from the moment each request came; a request waits for a free connection of eight where there is none. */
function openLoop(port: number, request: Buffer, perSecond: number, durationMs: number): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const latencies: number[] = [];
    const free: ReturnType<typeof connect>[] = [];
    const due: number[] = [];
    const total = Math.round((perSecond * durationMs) / 1_000);
    const connections = 8;
    let sent = 0;
    let connected = 0;
    const send = (): void => {
      while (free.length > 0 && due.length > 0) {
        const socket = free.pop()!;
        const dueAt = due.shift()!;
        socket.once('data', (bytes: Buffer) => {
          if (bytes[9] !== 0x32) return reject(new Error(bytes.toString()));
          latencies.push(performance.now() - dueAt);
          free.push(socket);
          if (latencies.length === total) {
            for (const each of free) each.end();
            resolve(latencies);
          } else send();
        });
        socket.write(request);
      }
    };
    const run = (): void => {
      const startedAt = performance.now();
      const tick = (): void => {
        const now = performance.now();
        // What is due since the last tick comes now, in one go: the generator's own clock is not the cloud's latency.
        for (; sent < total && startedAt + (sent * 1_000) / perSecond <= now; sent++) due.push(now);
        send();
        // To spin here would take from the cloud one of the two cores.
        if (sent < total) setTimeout(tick, 1);
      };
      tick();
    };
    for (let index = 0; index < connections; index++) {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true });
      socket.on('error', reject);
      socket.once('connect', () => {
        free.push(socket);
        if (++connected === connections) run();
      });
    }
  });
}
