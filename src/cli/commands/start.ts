import { resolve } from 'node:path';
import type { Cloud, CloudOptions, StoreChoice } from '../../cloud.ts';
import type { Logger } from '../../platform/log.ts';
import { CliError } from '../error.ts';
import { parsePort } from '../parsing.ts';
import type { Terminal } from '../terminal.ts';

export interface StartOptions {
  readonly port: string;
  readonly host: string;
  readonly data: string;
  readonly ephemeral?: boolean;
  readonly store?: string;
  readonly clock: string;
  readonly limits: string;
  readonly auth: string;
  readonly sandbox: string;
  readonly reach?: readonly string[];
}

/** Runs a cloud in this process until a signal or `unkai stop` ends it. */
export async function start(terminal: Terminal, options: StartOptions): Promise<void> {
  const cloud = await launch(terminal, options);
  await cloud.ended;
}

/** Starts a cloud in this process and prints the one line that says where it is. `beforeEnd`: what is to be done before it ends. */
export async function launch(
  terminal: Terminal,
  options: StartOptions,
  beforeEnd: () => Promise<void> = async () => {},
): Promise<Cloud & { readonly ended: Promise<void> }> {
  const chosen = cloudOptions(options);
  const { startCloud } = await import('../../cloud.ts');
  let end: () => void = () => {};
  const ended = new Promise<void>((resolveEnd) => {
    end = resolveEnd;
  });
  const cloud = await startCloud({ ...chosen, log: standardErrorLog, onStopRequest: () => void finish() });
  let finishing = false;
  const finish = async (): Promise<void> => {
    // A second signal means it: whoever asks twice does not want to wait for what is still running.
    if (finishing) process.exit(130);
    finishing = true;
    await beforeEnd().finally(() => cloud.close());
    end();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void finish());
  // Since the process began, as the user waited for it.
  const tookMs = Math.round(performance.now());
  terminal.line(`ready on ${cloud.endpoint} in ${tookMs} ms`);
  const root = chosen.auth === 'off' ? undefined : await cloud.platform.credentials.root();
  const credentials =
    root === undefined ? {} : { accessKeyId: root.accessKeyId, secretAccessKey: root.secretAccessKey };
  terminal.data({ ready: true, endpoint: cloud.endpoint, milliseconds: tookMs, pid: process.pid, ...credentials });
  if (root !== undefined) {
    terminal.progress(
      `root credentials: AWS_ACCESS_KEY_ID=${root.accessKeyId} AWS_SECRET_ACCESS_KEY=${root.secretAccessKey}`,
    );
  }
  return { ...cloud, ended };
}

function cloudOptions(options: StartOptions): CloudOptions {
  const port = parsePort(options.port, 0);
  const hosts = (process.env['UNKAI_ALLOWED_HOSTS'] ?? '')
    .split(',')
    .map((host) => host.trim().toLowerCase())
    .filter((host) => host !== '');
  return {
    store: storeChoice(options),
    port,
    host: options.host,
    clock: oneOf('clock', options.clock, ['wall', 'virtual']),
    limits: oneOf('limits', options.limits, ['aws', 'relaxed']),
    auth: oneOf('auth', options.auth, ['off', 'signed', 'enforced']),
    reach: (options.reach ?? []).flatMap((list) => list.split(',')).map((text) => parsePort(text, 1)),
    sandbox: oneOf('sandbox', options.sandbox, ['auto', 'process', 'bubblewrap']),
    allowedHosts: hosts,
  };
}

function storeChoice(options: StartOptions): StoreChoice {
  const directory = resolve(options.data);
  if (options.ephemeral === true) {
    if (options.store !== undefined)
      throw new CliError('BadStore', '--ephemeral and --store exclude each other', 'leave one of them out');
    return { engine: 'memory' };
  }
  if (options.store === undefined) return { engine: 'lmdb', directory };
  if (/^postgres(ql)?:\/\//.test(options.store)) return { engine: 'postgres', url: options.store, directory };
  throw new CliError(
    'BadStore',
    `'${options.store}' is not a store`,
    'give a URL such as postgresql://user@host/database, or leave it out for the embedded store',
  );
}

function oneOf<T extends string>(name: string, value: string, allowed: readonly T[]): T {
  if ((allowed as readonly string[]).includes(value)) return value as T;
  throw new CliError('BadOption', `--${name} is '${value}'`, `it is one of: ${allowed.join(', ')}`);
}

const standardErrorLog: Logger = {
  info: (message, fields) => write('info', message, fields),
  warn: (message, fields) => write('warn', message, fields),
  error: (message, fields) => write('error', message, fields),
};

function write(level: string, message: string, fields: Readonly<Record<string, unknown>> = {}): void {
  const shown = Object.entries(fields).map(
    ([name, value]) => ` ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  process.stderr.write(`${level}: ${message}${shown.join('')}\n`);
}
