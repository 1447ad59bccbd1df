/**
 * Networks of sandboxes' own: nothing of the machine is in reach but the cloud's endpoint, whose listening socket was made inside (see
 * runtimes/berth/berth.pl). The way to the internet, where a function has one, is a user-mode forwarder.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { connect, createServer, type Server, Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Readable } from 'node:stream';
import { LaunchError } from './launcher.ts';
import { sendSignal } from './processes.ts';
import { stdioOf } from './stdio.ts';

/** Where functions reach the Runtime API on AWS. */
const runtimeApiPort = 9001;
const openFiles = 1_024;

export interface PrivateNetworkOptions {
  /** berth.pl on this machine. */
  readonly script: string;
  readonly perl: string;
  readonly unshare: string;
  /** Undefined: none is installed, and only sandboxes without internet can be made. */
  readonly forwarder: Forwarder | undefined;
  /** Connections to the cloud's endpoint. */
  readonly ingress: (socket: Socket) => void;
  readonly endpointPort: () => number;
  /** Ports of this machine's loopback that are to be reached on the sandbox's own: a vendor's stand-in, a database. */
  readonly reach: () => readonly number[];
}

export interface Forwarder {
  readonly path: string;
  readonly kind: 'slirp4netns' | 'pasta';
  /** Of the name server that it offers inside. */
  readonly nameServer: string;
}

export type PrivateNetwork = 'internet' | 'none';

/** A process in a network of its own that waits to be told what to become. */
export interface NetworkedProcess {
  readonly pid: number;
  readonly child: ChildProcess;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly runtimeApi: Server;
  readonly runtimeApiAddress: string;
  /** Becomes `argv`; `options` is what bubblewrap reads at descriptor 4. */
  become(argv: readonly string[], options: readonly string[], dials: boolean): void;
  dial(port: number): Promise<Socket>;
}

/** Rejects with LaunchError. */
export async function startInPrivateNetwork(
  network: PrivateNetwork,
  options: PrivateNetworkOptions,
): Promise<NetworkedProcess> {
  const endpointPort = options.endpointPort();
  const reach = options.reach().filter((port) => port !== endpointPort && port !== runtimeApiPort);
  const asRoot = process.getuid?.() === 0;
  const takerOf = (port: number): ((socket: Socket) => void) | undefined => {
    if (port === runtimeApiPort) return undefined;
    return port === endpointPort ? options.ingress : (socket) => forwardTo(port, socket);
  };
  const blocked = network === 'internet' ? ownAddresses() : [];
  const child = spawn(
    options.unshare,
    [
      ...(asRoot ? ['--net'] : ['--net', '--user', '--map-root-user']),
      options.perl,
      options.script,
      process.arch,
      String(openFiles),
      blocked.join(','),
      String(runtimeApiPort),
      String(endpointPort),
      ...reach.map(String),
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc', 'pipe', 'pipe'],
      env: { PATH: '/usr/bin:/bin' },
      detached: true,
    },
  );
  const pid = child.pid;
  const servers = new Map<number, Server>();
  const dials = new Map<number, (socket: Socket | undefined) => void>();
  await new Promise<void>((resolve, reject) => {
    const failed = (problem: string): void => reject(new LaunchError('NETWORK', problem));
    let said = '';
    child.stderr?.on('data', (bytes: Buffer) => {
      said += bytes.toString();
    });
    child.once('error', (error) => failed(error.message));
    child.once('exit', () => failed(`a network for the sandbox could not be made: ${said.trim()}`));
    child.on('message', (message: { port?: number; ready?: boolean; id?: number }, handle: unknown) => {
      if (message.port !== undefined) {
        const server = createServer({ noDelay: true }, takerOf(message.port));
        server.listen(handle as { fd: number });
        if (message.port !== runtimeApiPort) server.unref();
        servers.set(message.port, server);
      } else if (message.id !== undefined) {
        const settle = dials.get(message.id);
        dials.delete(message.id);
        settle?.(handle === undefined ? undefined : new Socket({ handle } as object));
      } else if (message.ready) resolve();
    });
  }).catch((error: unknown) => {
    if (pid !== undefined) sendSignal(-pid, 'SIGKILL');
    for (const server of servers.values()) server.close();
    throw error;
  });
  child.removeAllListeners('exit');
  child.stderr?.removeAllListeners('data');
  child.channel?.unref();
  const forwarder = network === 'internet' ? options.forwarder : undefined;
  const forwarding = forwarder === undefined ? undefined : await forward(forwarder, pid!);
  child.once('exit', () => {
    for (const [port, server] of servers) if (port !== runtimeApiPort) server.close();
    forwarding?.kill('SIGKILL');
    for (const settle of dials.values()) settle(undefined);
  });
  let lastDial = 0;
  return {
    pid: pid!,
    child,
    stdout: child.stdout!,
    stderr: child.stderr!,
    runtimeApi: servers.get(runtimeApiPort)!,
    runtimeApiAddress: `127.0.0.1:${runtimeApiPort}`,
    become(argv, text, withDials) {
      const head = [withDials ? '1' : '0', ...argv].map((word) => `${word}\0`).join('');
      const plan = stdioOf(child, 4);
      plan.on('error', () => {
        // It has ended meanwhile, which its exit tells.
      });
      plan.end(`${Buffer.byteLength(head)}\n${head}${text.map((word) => `${word}\0`).join('')}`);
    },
    dial(port) {
      const id = ++lastDial;
      return new Promise((resolve, reject) => {
        dials.set(id, (socket) =>
          socket === undefined ? reject(new Error(`nothing listens on port ${port} of the sandbox`)) : resolve(socket),
        );
        if (child.connected) child.send({ dial: port, id });
        else dials.get(id)?.(undefined);
      });
    },
  };
}

/** To the same port of this machine; where nothing listens there, the connection ends at once. */
function forwardTo(port: number, socket: Socket): void {
  const outward = connect({ port, host: '127.0.0.1', noDelay: true });
  for (const [one, other] of [
    [socket, outward],
    [outward, socket],
  ] as const) {
    one.on('error', () => other.destroy());
    one.pipe(other);
  }
}

/** Resolves when the way out is open; without an answer for a while it is left to open by itself. */
function forward({ path, kind }: Forwarder, pid: number): Promise<ChildProcess> {
  const args =
    kind === 'slirp4netns'
      ? ['--configure', '--mtu=65520', '--disable-host-loopback', '--ready-fd=3', '--exit-fd=4', String(pid), 'tap0']
      : [
          ...['--config-net', '--no-map-gw', '--foreground', '--quiet', '--dns-forward', pastaNameServer],
          ...['-t', 'none', '-u', 'none', '-T', 'none', '-U', 'none'],
          ...['--userns', `/proc/${pid}/ns/user`, '--netns', `/proc/${pid}/ns/net`],
        ];
  const child = spawn(path, args, {
    // Descriptor 4 closes with the cloud, however that ends, and slirp4netns then ends, too.
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
  });
  child.unref();
  const ready = stdioOf(child, 3);
  for (const stream of [ready, stdioOf(child, 4)]) {
    stream.unref();
    stream.on('error', () => {});
  }
  return new Promise((resolve) => {
    const settle = (): void => resolve(child);
    child.once('error', settle);
    child.once('exit', settle);
    if (kind === 'slirp4netns') ready.once('data', settle);
    else settle();
  });
}

const pastaNameServer = '169.254.1.1';

export function forwarderOf(kind: Forwarder['kind'], path: string): Forwarder {
  return { kind, path, nameServer: kind === 'slirp4netns' ? '10.0.2.3' : pastaNameServer };
}

/** Of this machine, beside loopback: a sandbox is not to reach what listens here by way of them. */
function ownAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flat()
    .filter((address) => address !== undefined && address.family === 'IPv4' && !address.internal)
    .map((address) => address!.address);
}
