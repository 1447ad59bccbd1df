/** What the tests and the bench of this folder share: a compute over memory, packages from text, sandboxes with recorded output. */
import { mkdtemp, rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ZipFile } from 'yazl';
import type { BlobStore } from '../kernel/blobs/contract.ts';
import { MemoryBlobs } from '../kernel/blobs/memory-blobs.ts';
import type { Clock } from '../kernel/clock/contract.ts';
import { WallClock } from '../kernel/clock/wall.ts';
import { createRandom } from '../kernel/random/random.ts';
import type { Compute, InitReport, Invocation, Sandbox, SandboxSpec } from '../platform/compute.ts';
import { createCompute, type SandboxKind } from './index.ts';

export interface ComputeFixture {
  readonly compute: Compute;
  readonly folder: string;
  readonly blobs: BlobStore;
  /** What the cloud's own log was told. */
  readonly notes: string[];
  /** Starts a sandbox; what it prints is in `output`. */
  start(
    files: Files,
    spec?: Partial<SandboxSpec>,
  ): Promise<{ sandbox: Sandbox; output: string[]; inits: InitReport[] }>;
  close(): Promise<void>;
}

/** Content by path; with `mode` 0o755 where the name is `bootstrap` or ends in `.sh`. */
export type Files = Readonly<Record<string, string | Buffer>>;

/** Survives the tests: what they install comes from a registry. */
export const testLibraries = fileURLToPath(new URL('../../node_modules/.cache/unkai/runtimes', import.meta.url));

export async function openCompute(
  options: {
    clock?: Clock;
    runtimesFolder?: string;
    sandbox?: SandboxKind;
    endpoint?: string;
    ingress?: (socket: Socket) => void;
    /** By default a folder that tests share: what is compiled or installed there stays. */
    runtimeLibraries?: string;
  } = {},
): Promise<ComputeFixture> {
  const folder = await mkdtemp(join(tmpdir(), 'unkai-compute-'));
  const blobs = new MemoryBlobs();
  const notes: string[] = [];
  const note = (message: string): void => {
    notes.push(message);
  };
  const compute = createCompute({
    clock: options.clock ?? new WallClock(),
    random: createRandom(),
    log: { info: note, warn: note, error: note },
    blobs,
    folder,
    imagesFolder: join(folder, 'images'),
    endpoint: () => options.endpoint ?? 'http://127.0.0.1:4566',
    ingress: options.ingress ?? ((socket) => socket.destroy()),
    sandbox: options.sandbox ?? 'process',
    runtimeLibraries: options.runtimeLibraries ?? testLibraries,
    ...(options.runtimesFolder === undefined ? {} : { runtimesFolder: options.runtimesFolder }),
  });
  return {
    compute,
    folder,
    blobs,
    notes,
    async start(files, spec = {}) {
      const output: string[] = [];
      const inits: InitReport[] = [];
      const sandbox = await compute.start({
        functionName: 'under-test',
        functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:under-test',
        version: '$LATEST',
        account: '123456789012',
        region: 'eu-west-1',
        runtime: 'nodejs20.x',
        handler: 'index.handler',
        code: { kind: 'zip', digest: await blobs.put(await zip(files)), layers: [] },
        environment: {},
        credentials: async () => ({ accessKeyId: 'ASIATEST', secretAccessKey: 'secret', sessionToken: 'token' }),
        memoryMb: 256,
        ephemeralStorageMb: 512,
        timeoutMs: 3_000,
        architecture: 'x86_64',
        network: 'internet',
        logGroup: '/aws/lambda/under-test',
        logStream: '2026/11/21/[$LATEST]0123456789abcdef0123456789abcdef',
        logging: { format: 'Text', applicationLevel: 'INFO', systemLevel: 'INFO' },
        initializationType: 'on-demand',
        onLog: (event) => output.push(event),
        onInit: (report) => inits.push(report),
        ...spec,
      });
      return { sandbox, output, inits };
    },
    async close() {
      await compute.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

let requests = 0;

export function invocation(event: unknown, more: Partial<Invocation> = {}): Invocation {
  return {
    requestId: `00000000-0000-4000-8000-${String(++requests).padStart(12, '0')}`,
    payload: Buffer.from(JSON.stringify(event)),
    invokedFunctionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:under-test',
    traceHeader: 'Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0',
    ...more,
  };
}

export function zip(files: Files): Promise<Buffer> {
  const archive = new ZipFile();
  for (const [path, content] of Object.entries(files)) {
    const executable = path.endsWith('bootstrap') || path.endsWith('.sh');
    archive.addBuffer(typeof content === 'string' ? Buffer.from(content) : content, path, {
      mode: executable ? 0o100755 : 0o100644,
    });
  }
  return finish(archive);
}

export async function finish(archive: ZipFile): Promise<Buffer> {
  archive.end();
  const pieces: Buffer[] = [];
  for await (const piece of archive.outputStream) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}
