import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Cloud, type CloudOptions, type StoreChoice, startCloud } from '../../src/cloud.ts';
import { VirtualClock } from '../../src/kernel/clock/virtual.ts';

export interface TestCloudOptions extends Omit<CloudOptions, 'store'> {
  /** Default: memory. */
  readonly engine?: 'memory' | 'lmdb';
  /** A store of your own choosing, such as PostgreSQL's. */
  readonly store?: StoreChoice;
}

export interface TestCloud {
  readonly endpoint: string;
  /** For any SDK client: endpoint, region, credentials, no retries. */
  readonly clientConfig: {
    readonly endpoint: string;
    readonly region: string;
    readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
    readonly maxAttempts: number;
  };
  readonly cloud: Cloud;
  /** Throws unless the cloud was started with `clock: 'virtual'`. */
  readonly clock: VirtualClock;
  /** Closes the cloud and opens it again on the same data (not for memory). */
  restart(): Promise<TestCloud>;
  close(): Promise<void>;
}

/** A cloud for one test file, on a free port; its errors go to standard error, because a test should not cause any. */
export async function startTestCloud(options: TestCloudOptions = {}): Promise<TestCloud> {
  const { engine = 'memory', store: chosen, ...rest } = options;
  const directory = engine === 'lmdb' ? await mkdtemp(join(tmpdir(), 'unkai-test-')) : undefined;
  const store: StoreChoice = chosen ?? (directory === undefined ? { engine: 'memory' } : { engine: 'lmdb', directory });
  const log = { info: () => {}, warn: report('warn'), error: report('error') };
  const open = async (): Promise<TestCloud> => {
    const cloud = await startCloud({ log, ...rest, store });
    await cloud.ready();
    return {
      endpoint: cloud.endpoint,
      clientConfig: {
        endpoint: cloud.endpoint,
        region: 'us-east-1',
        credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
        maxAttempts: 1,
      },
      cloud,
      get clock() {
        if (cloud.clock instanceof VirtualClock) return cloud.clock;
        throw new Error("start the cloud with clock: 'virtual'");
      },
      restart: async () => {
        await cloud.close();
        return open();
      },
      close: async () => {
        await cloud.close();
        if (directory !== undefined) await rm(directory, { recursive: true, force: true });
      },
    };
  };
  return open();
}

function report(level: string): (message: string, fields?: object) => void {
  return (message, fields) => process.stderr.write(`${level}: ${message} ${JSON.stringify(fields ?? {})}\n`);
}
