import { setMaxListeners } from 'node:events';
import { mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SandboxKind } from './compute/index.ts';
import { librariesFolder } from './compute/runtimes/libraries.ts';
import { Authenticator, type AuthMode } from './gateway/authenticate.ts';
import { Gateway } from './gateway/gateway.ts';
import { type Listener, listen } from './gateway/listener.ts';
import { Agenda } from './kernel/agenda/agenda.ts';
import type { BlobStore } from './kernel/blobs/contract.ts';
import { FileBlobs } from './kernel/blobs/file-blobs.ts';
import { MemoryBlobs } from './kernel/blobs/memory-blobs.ts';
import { ClockKeeper } from './kernel/clock/keeper.ts';
import { VirtualClock } from './kernel/clock/virtual.ts';
import { type WallClock, wallNow } from './kernel/clock/wall.ts';
import { Faults } from './kernel/faults/faults.ts';
import { removeTree } from './kernel/files/remove-tree.ts';
import type { LimitProfile } from './kernel/limits/limits.ts';
import { createRandom } from './kernel/random/random.ts';
import type { Store } from './kernel/store/contract.ts';
import type { DataDirectory } from './kernel/store/data-directory.ts';
import { MemoryStore } from './kernel/store/memory/memory-store.ts';
import { Tracer } from './kernel/trace/trace.ts';
import { LazyCompute } from './platform/compute.ts';
import type { ServiceName } from './platform/context.ts';
import { Dispatcher } from './platform/dispatcher.ts';
import { Images } from './platform/images.ts';
import type { Logger } from './platform/log.ts';
import type { ResourceType } from './platform/resource-type.ts';
import type { Platform, Service, ServiceDefinition } from './platform/service.ts';
import { Streams } from './platform/streams.ts';
import type { Surface } from './platform/surface.ts';
import { Targets } from './platform/targets.ts';
import { createCredentials } from './services/iam/credentials.ts';
import { version } from './version.ts';
import { notImplemented } from './wire/errors.ts';

/** Every service of the cloud: a line each. They load when first used, or right after the listener is up. */
const services: { readonly [S in ServiceName]: () => Promise<ServiceDefinition<S>> } = {
  apigatewayv2: async () => (await import('./services/apigatewayv2/index.ts')).apigatewayv2,
  cloudformation: async () => (await import('./services/cloudformation/index.ts')).cloudformation,
  dynamodb: async () => (await import('./services/dynamodb/index.ts')).dynamodb,
  dynamodbstreams: async () => (await import('./services/dynamodbstreams/index.ts')).dynamodbstreams,
  iam: async () => (await import('./services/iam/index.ts')).iam,
  lambda: async () => (await import('./services/lambda/index.ts')).lambda,
  logs: async () => (await import('./services/logs/index.ts')).logs,
  sqs: async () => (await import('./services/sqs/index.ts')).sqs,
  sts: async () => (await import('./services/sts/index.ts')).sts,
};

export type StoreChoice =
  | { readonly engine: 'memory' }
  | { readonly engine: 'lmdb'; readonly directory: string }
  /** Code and other blobs of this node lie in the directory. */
  | { readonly engine: 'postgres'; readonly url: string; readonly directory: string };

export interface CloudOptions {
  readonly store: StoreChoice;
  readonly clock?: 'wall' | 'virtual';
  readonly limits?: LimitProfile;
  readonly auth?: AuthMode;
  /** What functions run in; `auto` (default): bubblewrap where it works, else plain processes. */
  readonly sandbox?: SandboxKind;
  /** Ports of this machine that functions in sandboxes with a network of their own reach on 127.0.0.1. */
  readonly reach?: readonly number[];
  readonly host?: string;
  /** 0 (default): any free one. */
  readonly port?: number;
  /** Names beside localhost under which requests may come. */
  readonly allowedHosts?: readonly string[];
  readonly log?: Logger;
  /** Only these services; default: all. */
  readonly services?: readonly ServiceName[];
  /** Seeds ids and randomness (tests). */
  readonly seed?: number | string;
  /** Called when someone asks the cloud to stop over its control API. */
  readonly onStopRequest?: () => void;
}

/** One running cloud. */
export interface Cloud {
  /** `http://127.0.0.1:4566` */
  readonly endpoint: string;
  readonly platform: Platform;
  readonly clock: WallClock | VirtualClock;
  /** Loads and starts every service; the cloud does so by itself after it began to listen. */
  ready(): Promise<void>;
  status(): Promise<Record<string, unknown>>;
  /** Stops taking requests, lets what runs end for a moment, ends sandboxes, closes the store. */
  close(): Promise<void>;
}

const closeGraceMs = 2_000;

/** Composes a cloud and listens. The only place that chooses engines. */
export async function startCloud(options: CloudOptions): Promise<Cloud> {
  const log = options.log ?? silent;
  const limits = options.limits ?? 'aws';
  const auth = options.auth ?? 'off';
  const host = options.host ?? '127.0.0.1';
  const random = createRandom(options.seed);
  const base = await openBase(options.store);
  const { store } = base;
  const closing = new AbortController();
  // Every request that waits listens to it.
  setMaxListeners(0, closing.signal);

  const keeper = await ClockKeeper.open(store, options.clock ?? 'wall');
  const { clock } = keeper;
  const faults = new Faults();
  const tracer = new Tracer({ clock, random });
  const logProblem = (message: string, error: unknown): void =>
    log.error(message, { problem: String((error as Error).stack ?? error) });
  const onError = (error: unknown, job: object): void =>
    log.error('a job failed', { ...job, problem: String((error as Error).stack ?? error) });
  const agenda = new Agenda({ store, clock, onError });
  const credentials = createCredentials({ store, clock, random, enforced: auth === 'enforced' });
  const authorizer =
    auth === 'enforced' ? (await import('./services/iam/authorizer.ts')).createAuthorizer({ store, clock }) : undefined;
  const dispatcher = new Dispatcher({
    clock,
    random,
    faults,
    tracer,
    log,
    endpoint: () => endpoint(),
    ...(authorizer === undefined ? {} : { authorizer }),
    load: (service) => loadService(service),
  });
  const reach = new Set(options.reach);
  const compute = new LazyCompute(async () =>
    (await import('./compute/index.ts')).createCompute({
      clock,
      random,
      log,
      blobs: base.blobs,
      folder: base.scratchFolder,
      imagesFolder: join(base.directory?.path ?? base.scratchFolder, 'images'),
      endpoint: () => endpoint(),
      runtimeLibraries: librariesFolder(base.directory?.path),
      ingress: (socket) => listener.accept(socket),
      sandbox: options.sandbox ?? 'auto',
      reach: () => [...reach],
    }),
  );

  const images = new Images({ store, clock, blobs: base.blobs });
  const resourceTypes = new Map<string, ResourceType>();
  const surfaces: Surface[] = [];
  const platform: Platform = {
    clock,
    random,
    store,
    blobs: base.blobs,
    agenda,
    limits,
    faults,
    tracer,
    log,
    bus: dispatcher,
    targets: new Targets(),
    streams: new Streams(),
    images,
    credentials,
    authorizer,
    compute,
    resourceTypes,
    endpoint: () => endpoint(),
    scratchFolder: base.scratchFolder,
  };

  const names = options.services ?? (Object.keys(services) as ServiceName[]);
  const running = new Map<ServiceName, Promise<Service>>();
  const loadService = (name: ServiceName): Promise<Service> | undefined => {
    const known = running.get(name);
    if (known !== undefined || !names.includes(name)) return known;
    const loading = createService(name);
    running.set(name, loading);
    return loading;
  };
  const createService = async (name: ServiceName): Promise<Service> => {
    const definition = (await services[name]()) as ServiceDefinition;
    const service = definition.create(platform);
    for (const type of service.resourceTypes ?? []) resourceTypes.set(type.typeName, type);
    if (service.target !== undefined) platform.targets.register(name, service.target);
    surfaces.push(...(service.surfaces ?? []));
    dispatcher.register(name, service);
    return service;
  };
  let allReady: Promise<void> | undefined;
  const ready = (): Promise<void> => {
    allReady ??= (async () => {
      const created = await Promise.all(names.map((name) => loadService(name)));
      // One that cannot start must not keep the others from their due work.
      const startOne = async (service: Service | undefined): Promise<void> => service?.start?.();
      for (const outcome of await Promise.allSettled(created.map(startOne))) {
        if (outcome.status === 'rejected') logProblem('a service could not start', outcome.reason);
      }
      if (!closing.signal.aborted) agenda.start();
    })();
    return allReady;
  };

  const startedAtMs = clock.now();
  const status = async (): Promise<Record<string, unknown>> => ({
    name: 'unkai',
    version,
    pid: process.pid,
    endpoint: endpoint(),
    startedAtMs,
    nowMs: clock.now(),
    store: {
      engine: store.engine,
      durable: store.durable,
      ...(base.directory === undefined ? {} : { directory: base.directory.path }),
    },
    clock: options.clock ?? 'wall',
    limits,
    auth,
    services: names,
  });

  const gateway = new Gateway({
    door: { allowedHosts: new Set([host, ...(options.allowedHosts ?? [])]) },
    authenticator: new Authenticator({ mode: auth, clock, credentials, wallNow }),
    dispatcher,
    random,
    log,
    controlled: {
      faults,
      tracer,
      blobs: base.blobs,
      images,
      bus: dispatcher,
      virtualClock: clock instanceof VirtualClock ? clock : undefined,
      nowMs: () => clock.now(),
      inspect: async (name, caller, query) => {
        const service = await loadService(name as ServiceName);
        if (service?.inspect === undefined) throw notImplemented(name, 'inspect');
        return service.inspect(caller, query);
      },
      steer: async (name, caller, command) => {
        const service = await loadService(name as ServiceName);
        if (service?.steer === undefined) throw notImplemented(name, 'steer');
        return service.steer(caller, command);
      },
      reach,
      status,
      stop: () => setImmediate(() => options.onStopRequest?.()),
    },
    // Any service may own the surface that a request is for, so all are loaded before the first such request is judged.
    surfaces: async () => {
      if (running.size < names.length || !loaded) await Promise.all(names.map((name) => loadService(name)));
      loaded = true;
      return surfaces;
    },
    loadedSurfaces: () => surfaces,
    shutdown: closing.signal,
  });
  let loaded = false;

  let listener: Listener;
  try {
    listener = await listen({
      host,
      port: options.port ?? 0,
      answer: gateway.answer,
      upgrade: gateway.upgrade,
      fastLane: gateway.fastLane,
    });
  } catch (error) {
    await base.close();
    throw error;
  }
  const endpoint = (): string =>
    `http://${host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host}:${listener.port}`;

  // What was due while nobody ran the cloud is taken up at once, whether or not a request comes.
  setImmediate(() => {
    ready().catch((error: unknown) => logProblem('a service could not be loaded', error));
  });

  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= (async () => {
      closing.abort(new Error('the cloud is shutting down'));
      await Promise.allSettled([listener.close(closeGraceMs), allReady]);
      const started = await Promise.allSettled(running.values());
      await Promise.allSettled(
        started.map((service) => (service.status === 'fulfilled' ? service.value.close?.() : undefined)),
      );
      await agenda.close();
      await compute.close();
      await keeper.close();
      await base.close();
    })();
    return closed;
  };
  return { endpoint: endpoint(), platform, clock, ready, status, close };
}

interface Base {
  readonly store: Store;
  readonly blobs: BlobStore;
  readonly scratchFolder: string;
  readonly directory: DataDirectory | undefined;
  close(): Promise<void>;
}

async function openBase(choice: StoreChoice): Promise<Base> {
  if (choice.engine === 'memory') {
    const scratchFolder = await mkdtemp(join(tmpdir(), 'unkai-'));
    const store = new MemoryStore();
    const close = async (): Promise<void> => {
      await store.close();
      await removeTree(scratchFolder);
    };
    return { store, blobs: new MemoryBlobs(), scratchFolder, directory: undefined, close };
  }
  const { openDataDirectory } = await import('./kernel/store/data-directory.ts');
  const directory = await openDataDirectory(choice.directory);
  try {
    const scratchFolder = join(directory.path, 'tmp');
    await removeTree(scratchFolder);
    await mkdir(scratchFolder, { recursive: true });
    const store = await openEngine(choice, directory);
    const close = async (): Promise<void> => {
      await store.close();
      await directory.close();
    };
    return { store, blobs: new FileBlobs(join(directory.path, 'blobs')), scratchFolder, directory, close };
  } catch (error) {
    await directory.close();
    throw error;
  }
}

/** Engines load when chosen: a native library that is not needed is not paid for. */
async function openEngine(
  choice: Exclude<StoreChoice, { engine: 'memory' }>,
  directory: DataDirectory,
): Promise<Store> {
  if (choice.engine === 'lmdb') {
    const { openLmdbStore } = await import('./kernel/store/lmdb/lmdb-store.ts');
    return openLmdbStore({ path: join(directory.path, 'store') });
  }
  const { openPostgresStore } = await import('./kernel/store/postgres/postgres-store.ts');
  return openPostgresStore({ url: choice.url });
}

const silent: Logger = { info: () => {}, warn: () => {}, error: () => {} };
