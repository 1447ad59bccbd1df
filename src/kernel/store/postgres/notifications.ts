import pg from 'pg';
import type { Key } from '../contract.ts';
import type { Watchers } from '../watchers.ts';
import { clientConfig, type Target } from './connection.ts';

/** How long changes gather before the other processes are told. */
const gatherMs = 5;
/** PostgreSQL takes payloads of less than 8,000 bytes. */
const payloadBytes = 7900;
/** More changes than this in one round and the others are told only that there were many. */
const payloadsAtOnce = 8;
const reconnectMs = 1000;
const everything = '*';

/**
 * Tells other processes what changed, by NOTIFY from a connection of its own: inside a commit it would cost more than half
 * the throughput, since commits with notifications go one after the other. What gets lost here is found by polling.
 */
export class Notifications {
  readonly #target: Target;
  readonly #channel: string;
  readonly #watchers: Watchers;
  readonly #changed = new Set<string>();
  #sender: Promise<pg.Client> | undefined;
  #listener: Promise<pg.Client> | undefined;
  #ownPid: number | undefined;
  #gathering: NodeJS.Timeout | undefined;
  #reconnecting: NodeJS.Timeout | undefined;
  #sending: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(target: Target, watchers: Watchers) {
    this.#target = target;
    this.#channel = `unkai_${target.schema}`;
    this.#watchers = watchers;
  }

  changed(key: Key): void {
    if (this.#closed) return;
    this.#watchers.touch(key);
    this.#changed.add(key.toString('base64'));
    this.#gathering ??= setTimeout(() => this.#send(), gatherMs).unref();
  }

  changedAll(): void {
    this.#watchers.touchAll();
    this.#changed.clear();
    this.#changed.add(everything);
    this.#gathering ??= setTimeout(() => this.#send(), gatherMs).unref();
  }

  /** From the first watch on. Resolves when changes elsewhere will be heard of. */
  async listen(): Promise<void> {
    if (this.#listener !== undefined || this.#closed) return void (await this.#listener);
    this.#listener = this.#connect((client) => {
      client.on('notification', ({ processId, payload }) => {
        if (processId !== this.#ownPid) this.#heard(payload ?? everything);
      });
      return client.query(`LISTEN "${this.#channel}"`);
    }, this.#lostListener);
    await this.#listener;
  }

  async close(): Promise<void> {
    clearTimeout(this.#gathering);
    clearTimeout(this.#reconnecting);
    if (this.#changed.size > 0) this.#send();
    this.#closed = true;
    await this.#sending;
    for (const connecting of [this.#sender, this.#listener]) {
      const client = await connecting?.catch(() => undefined);
      await client?.end().catch(() => {});
    }
  }

  #heard(payload: string): void {
    if (payload === everything) {
      this.#watchers.touchAll();
      return;
    }
    for (const key of payload.split(' ')) this.#watchers.touch(Buffer.from(key, 'base64'));
  }

  #send(): void {
    this.#gathering = undefined;
    const payloads = packed(this.#changed);
    this.#changed.clear();
    // A hint that cannot be sent is left out.
    this.#sending = this.#sending.then(() => this.#notify(payloads)).catch(() => {});
  }

  async #notify(payloads: readonly string[]): Promise<void> {
    this.#sender ??= this.#connect(
      async (client) => {
        const { rows } = await client.query('SELECT pg_backend_pid() AS pid');
        this.#ownPid = Number(rows[0].pid);
      },
      () => (this.#sender = undefined),
    );
    const client = await this.#sender;
    const text = 'SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload';
    await client.query({ name: 'notify', text, values: [this.#channel, payloads] });
  }

  async #connect(prepare: (client: pg.Client) => Promise<unknown>, lost: () => void): Promise<pg.Client> {
    const client = new pg.Client(clientConfig(this.#target));
    let gone = false;
    const onLost = (): void => {
      if (gone) return;
      gone = true;
      if (!this.#closed) lost();
    };
    client.on('error', onLost);
    client.on('end', onLost);
    try {
      await client.connect();
      await prepare(client);
      return client;
    } catch (error) {
      onLost();
      await client.end().catch(() => {});
      throw error;
    }
  }

  #lostListener = (): void => {
    this.#listener = undefined;
    this.#reconnecting = setTimeout(() => {
      // Whatever changed meanwhile was missed.
      this.listen().then(
        () => this.#watchers.touchAll(),
        () => {},
      );
    }, reconnectMs).unref();
  };
}

function packed(keys: ReadonlySet<string>): string[] {
  const payloads: string[] = [];
  let current = '';
  for (const key of keys) {
    if (current !== '' && current.length + key.length + 1 > payloadBytes) {
      payloads.push(current);
      current = '';
      if (payloads.length >= payloadsAtOnce) return [everything];
    }
    current = current === '' ? key : `${current} ${key}`;
  }
  payloads.push(current);
  return payloads;
}
