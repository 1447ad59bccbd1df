import pg, { type ClientConfig, type QueryConfig } from 'pg';
import { StoreOpenError } from '../open-error.ts';
import { rowTypes } from './codec.ts';

export interface Target {
  readonly url: string;
  readonly schema: string;
}

const connectWithinMs = 10_000;
const oldestServer = 130_000;

const sessionSettings = {
  synchronous_commit: 'on',
  bytea_output: 'hex',
  default_transaction_isolation: 'read\\ committed',
  // Every statement finds its rows by an index, and is planned once a session: planning each call with its own arrays
  // costs several times the call. A plan made while a table was small must not scan it when it has grown.
  plan_cache_mode: 'force_generic_plan',
  enable_seqscan: 'off',
  enable_hashjoin: 'off',
  enable_mergejoin: 'off',
  jit: 'off',
} as const;

/** How every connection of the store is made: an answered commit is on disk whatever the server's default is. */
export function clientConfig({ url, schema }: Target): ClientConfig {
  return {
    connectionString: url,
    application_name: `unkai (${schema})`,
    connectionTimeoutMillis: connectWithinMs,
    keepAlive: true,
    options: Object.entries(sessionSettings)
      .map(([name, value]) => `-c ${name}=${value}`)
      .join(' '),
  };
}

/** Connects and asks the server whether it will do. Throws StoreOpenError. */
export async function checkServer(target: Target): Promise<pg.Client> {
  const where = describe(target.url);
  let client: pg.Client;
  try {
    client = new pg.Client(clientConfig(target));
    client.on('error', () => {});
    await client.connect();
  } catch (error) {
    throw cannotConnect(where, error);
  }
  try {
    const { rows } = await client.query(
      "SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS name, current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit",
    );
    const { version, name, fsync, commit } = rows[0] as {
      version: number;
      name: string;
      fsync: string;
      commit: string;
    };
    if (version < oldestServer) {
      throw new StoreOpenError(
        `the PostgreSQL server at ${where} has version ${name}, which is too old`,
        'Use PostgreSQL 13 or later.',
      );
    }
    if (fsync !== 'on' || commit === 'off') {
      const setting = fsync === 'on' ? `synchronous_commit=${commit}` : `fsync=${fsync}`;
      throw new StoreOpenError(
        `the PostgreSQL server at ${where} runs with ${setting}: what it acknowledges can be lost`,
        'Turn it on in postgresql.conf and restart the server.',
      );
    }
    return client;
  } catch (error) {
    await client.end().catch(() => {});
    throw error instanceof StoreOpenError ? error : cannotConnect(where, error);
  }
}

/** Host, port and database, and never the password. */
export function describe(url: string): string {
  try {
    const { host, pathname, searchParams } = new URL(url);
    const place = host === '' || host === 'localhost' ? (searchParams.get('host') ?? host) : host;
    return `${place || 'localhost'}${pathname}`;
  } catch {
    return 'the address given';
  }
}

/** A prepared statement whose rows are parsed as the store needs them. */
export function prepared(name: string, text: string, values: readonly unknown[]): QueryConfig {
  return { name, text, values: values as unknown[], types: rowTypes };
}

function cannotConnect(where: string, error: unknown): StoreOpenError {
  const { code, message } = error as { readonly code?: string; readonly message: string };
  const options = { cause: error };
  switch (code) {
    case 'ECONNREFUSED':
    case 'ENOENT':
    case 'EACCES':
      return new StoreOpenError(
        `no PostgreSQL server answers at ${where}`,
        'Start the server, or correct host and port in the store URL.',
        options,
      );
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new StoreOpenError(`the host of ${where} is not known`, 'Correct the host in the store URL.', options);
    case '28P01':
    case '28000':
      return new StoreOpenError(
        `PostgreSQL at ${where} refused the user: ${message}`,
        'Correct user and password in the store URL, or the rules in pg_hba.conf.',
        options,
      );
    case '3D000':
      return new StoreOpenError(
        `PostgreSQL at ${where} has no such database: ${message}`,
        'Create it (createdb), or correct its name in the store URL.',
        options,
      );
    case '42501':
      return new StoreOpenError(
        `PostgreSQL at ${where} does not let this user make its tables: ${message}`,
        'Give the user the right to create a schema in the database.',
        options,
      );
    default:
      return new StoreOpenError(
        `PostgreSQL at ${where} cannot be used: ${message}`,
        'The store URL looks like postgres://user:password@host:5432/database.',
        options,
      );
  }
}
