/** Environments of real processes with real extensions, for the tests of this folder. */
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../kernel/clock/contract.ts';
import { WallClock } from '../../kernel/clock/wall.ts';
import { createRandom } from '../../kernel/random/random.ts';
import type { InitReport, SandboxSpec } from '../../platform/compute.ts';
import { ExecutionEnvironment } from '../sandboxes/environment.ts';
import type { LaunchPlan, Program } from '../sandboxes/launcher.ts';
import { ProcessLauncher } from '../sandboxes/process.ts';
import { Trees } from '../sandboxes/trees.ts';

export interface Started {
  readonly sandbox: ExecutionEnvironment;
  /** What went to the function's log. */
  readonly output: string[];
  readonly inits: InitReport[];
  /** Where the scripts find and leave things: DIR in their environment. */
  readonly folder: string;
}

const clock = new WallClock();
const runs: { readonly launcher: ProcessLauncher; readonly folder: string; readonly started: Started[] }[] = [];

/** `program` and `extensions` are scripts of Node, which all begin with `prelude`. */
export async function startEnvironment(options: {
  readonly program: string;
  readonly extensions?: Readonly<Record<string, string>>;
  readonly spec?: Partial<SandboxSpec>;
  readonly clock?: Clock;
  /** Whether the extensions may be executed. */
  readonly executable?: boolean;
}): Promise<Started> {
  const folder = await mkdtemp(join(tmpdir(), 'unkai-extensions-'));
  const temporaryFolder = join(folder, 'tmp');
  await mkdir(temporaryFolder);
  const script = async (name: string, code: string, mode: number): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, `#!${process.execPath}\n${prelude}\n(async () => {\n${code}\n})();\n`);
    await chmod(path, mode);
    return path;
  };
  const bootstrap = await script('bootstrap.cjs', options.program, 0o755);
  const companions: string[] = [];
  const mode = options.executable === false ? 0o644 : 0o755;
  for (const [name, code] of Object.entries(options.extensions ?? {})) companions.push(await script(name, code, mode));
  const launcher = new ProcessLauncher(`DIR=${folder}`, new Trees());
  const output: string[] = [];
  const inits: InitReport[] = [];
  const program = (command: string, runtimeApi: string): Program => ({
    command,
    hostCommand: command,
    args: [],
    environment: { PATH: process.env['PATH'] ?? '', AWS_LAMBDA_RUNTIME_API: runtimeApi, DIR: folder },
  });
  const sandbox = await ExecutionEnvironment.start({
    id: 'under-test',
    spec: { ...baseSpec(output, inits), ...options.spec },
    clock: options.clock ?? clock,
    random: createRandom(),
    sandboxNow: () => clock.now(),
    launcher,
    plan: async (runtimeApi): Promise<LaunchPlan> => ({
      program: program(bootstrap, runtimeApi),
      companions: companions.map((command) => program(command, runtimeApi)),
      workingDirectory: folder,
      folders: [],
      temporaryFolder,
      marker: `AWS_LAMBDA_RUNTIME_API=${runtimeApi}`,
    }),
    scratchFolder: temporaryFolder,
    onEnd: () => {},
  });
  const started = { sandbox, output, inits, folder };
  runs.push({ launcher, folder, started: [started] });
  return started;
}

export async function closeEnvironments(): Promise<void> {
  for (const { launcher, folder, started } of runs.splice(0)) {
    for (const { sandbox } of started) await sandbox.close('spindown');
    await launcher.close();
    await rm(folder, { recursive: true, force: true });
  }
}

export async function until(condition: () => boolean, limitMs = 10_000): Promise<void> {
  for (const startedAtMs = clock.elapsed(); !condition(); await clock.sleep(5)) {
    if (clock.elapsed() - startedAtMs > limitMs) throw new Error(`not within ${limitMs} ms: ${String(condition)}`);
  }
}

function baseSpec(output: string[], inits: InitReport[]): SandboxSpec {
  return {
    functionName: 'under-test',
    functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:under-test',
    version: '$LATEST',
    account: '123456789012',
    region: 'eu-west-1',
    runtime: 'provided.al2023',
    handler: 'index.handler',
    code: { kind: 'zip', digest: 'unused', layers: [] },
    environment: {},
    credentials: async () => ({ accessKeyId: 'ASIATEST', secretAccessKey: 'secret', sessionToken: 'token' }),
    memoryMb: 512,
    ephemeralStorageMb: 512,
    timeoutMs: 10_000,
    architecture: 'x86_64',
    network: 'internet',
    logGroup: '/aws/lambda/under-test',
    logStream: '2026/11/21/[$LATEST]0123456789abcdef0123456789abcdef',
    logging: { format: 'Text', applicationLevel: 'INFO', systemLevel: 'INFO' },
    initializationType: 'on-demand',
    onLog: (line) => output.push(line),
    onInit: (report) => inits.push(report),
  };
}

/**
 * `call(method, path, headers, body)` gives `{ status, headers, body }`; `next()` and `respond(id, body)` are the runtime's, `register(name,
 * events)` and `nextEvent()` an extension's; `note(line)` appends to a file in DIR; `sleep(ms)`.
 */
const prelude = `
const http = require('node:http');
const fs = require('node:fs');
const { DIR, AWS_LAMBDA_RUNTIME_API } = process.env;
const [host, port] = AWS_LAMBDA_RUNTIME_API.split(':');
const agent = new http.Agent({ keepAlive: true });
const open = (method, path, headers = {}) => http.request({ host, port, method, path, headers, agent });
const answerOf = (request) => new Promise((resolve, reject) => {
  request.on('error', reject).on('response', (response) => {
    const pieces = [];
    response.on('data', (piece) => pieces.push(piece)).on('end', () => {
      resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(pieces).toString() });
    });
  });
});
const call = (method, path, headers, body) => {
  const request = open(method, path, headers);
  const answer = answerOf(request);
  request.end(body);
  return answer;
};
const runtime = '/2018-06-01/runtime/';
const next = async () => {
  const { headers, body } = await call('GET', runtime + 'invocation/next');
  return { id: headers['lambda-runtime-aws-request-id'], headers, body };
};
const respond = (id, body) => call('POST', runtime + 'invocation/' + id + '/response', {}, body);
let identifier = '';
const register = async (name, events, more = {}) => {
  const answer = await call('POST', '/2020-01-01/extension/register', { 'Lambda-Extension-Name': name, ...more }, JSON.stringify({ events }));
  identifier = answer.headers['lambda-extension-identifier'] ?? '';
  return answer;
};
const side = (method, path, headers, body) => call(method, path, { 'Lambda-Extension-Identifier': identifier, ...headers }, body);
const nextEvent = async () => JSON.parse((await side('GET', '/2020-01-01/extension/event/next')).body);
const note = (line) => fs.appendFileSync(DIR + '/notes', line + '\\n');
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
`;

/** A runtime that answers each event with itself. */
export const echoProgram = 'for (;;) { const { id, body } = await next(); await respond(id, body); }';
