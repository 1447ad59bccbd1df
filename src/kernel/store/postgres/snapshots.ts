import type { Pool, PoolClient } from 'pg';
import { type PortableRecord, readPortable, writePortable } from '../portable.ts';
import { byteaArray, int8Array, partitionKey, wholeMs } from './codec.ts';
import { prepared } from './connection.ts';

const rowsAtOnce = 200;
const bytesAtOnce = 4 * 1024 * 1024;

/** Everything in one repeatable-read transaction: one point in time, and nobody waits for it. */
export async function* snapshotOf(pool: Pool, schema: string): AsyncIterable<Buffer> {
  const client = await pool.connect();
  let complete = false;
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    yield* writePortable(records(client, `"${schema}"`));
    await client.query('COMMIT');
    complete = true;
  } finally {
    // Left early or failed: the connection goes, and its transaction with it.
    client.release(!complete);
  }
}

/**
 * Replaces everything in one transaction: a source that breaks off or is no snapshot leaves all as it was. Rows are
 * deleted, not truncated, so that readers, a snapshot of this very store among them, keep what they see.
 */
export async function restoreInto(
  pool: Pool,
  schema: string,
  lockClass: number,
  source: AsyncIterable<Uint8Array>,
): Promise<void> {
  const client = await pool.connect();
  const name = `"${schema}"`;
  let failed: Error | undefined;
  try {
    await client.query('BEGIN');
    await client.query('SELECT pg_advisory_xact_lock($1, 0)', [lockClass]);
    for (const table of ['entry', 'due', 'log', 'log_entry']) await client.query(`DELETE FROM ${name}.${table}`);
    const { rows } = await client.query(`SELECT nextval('${name}.version') AS version`);
    const version = Number(rows[0].version);
    let pending: PortableRecord[] = [];
    let bytes = 0;
    for await (const record of readPortable(source)) {
      pending.push(record);
      bytes += record.kind === 'position' ? 0 : record.value.length;
      if (pending.length < 1000 && bytes < bytesAtOnce) continue;
      await insert(client, name, version, pending);
      pending = [];
      bytes = 0;
    }
    await insert(client, name, version, pending);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch((lost: Error) => (failed = lost));
    throw error;
  } finally {
    client.release(failed);
  }
}

async function insert(
  client: PoolClient,
  name: string,
  version: number,
  pending: readonly PortableRecord[],
): Promise<void> {
  const keys = pending.filter((record) => record.kind === 'key');
  if (keys.length > 0) {
    await client.query(
      `INSERT INTO ${name}.entry (key, value, version) SELECT k, v, $3::bigint FROM unnest($1::bytea[], $2::bytea[]) AS u (k, v)`,
      [byteaArray(keys.map(({ key }) => key)), byteaArray(keys.map(({ value }) => value)), version],
    );
  }
  const due = pending.filter((record) => record.kind === 'due');
  if (due.length > 0) {
    await client.query(
      `INSERT INTO ${name}.due (partition, long_name, id, value, due_at, attempts, first_claimed_at)
        SELECT p, l, i, v, d, a::integer, f FROM
        unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bigint[], $6::bigint[], $7::bigint[])
        AS u (p, l, i, v, d, a, f)`,
      [
        byteaArray(due.map(({ partition }) => partitionKey(partition))),
        byteaArray(due.map(({ partition }) => (partitionKey(partition) === partition ? null : partition))),
        byteaArray(due.map(({ id }) => id)),
        byteaArray(due.map(({ value }) => value)),
        int8Array(due.map(({ dueAtMs }) => wholeMs(dueAtMs))),
        int8Array(due.map(({ attempts }) => attempts)),
        int8Array(
          due.map(({ firstClaimedAtMs }) => (firstClaimedAtMs === undefined ? null : wholeMs(firstClaimedAtMs))),
        ),
      ],
    );
  }
  const entries = pending.filter((record) => record.kind === 'log');
  if (entries.length > 0) {
    await client.query(
      `INSERT INTO ${name}.log_entry (log, position, value)
        SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bytea[])`,
      [
        byteaArray(entries.map(({ log }) => log)),
        int8Array(entries.map(({ position }) => position)),
        byteaArray(entries.map(({ value }) => value)),
      ],
    );
  }
  const positions = pending.filter((record) => record.kind === 'position');
  if (positions.length > 0) {
    await client.query(`INSERT INTO ${name}.log (name, next) SELECT * FROM unnest($1::bytea[], $2::bigint[])`, [
      byteaArray(positions.map(({ log }) => log)),
      int8Array(positions.map(({ next }) => next)),
    ]);
  }
}

async function* records(client: PoolClient, name: string): AsyncIterable<PortableRecord> {
  for await (const { key, value } of cursor<{ key: Buffer; value: Buffer }>(
    client,
    `SELECT key, value FROM ${name}.entry ORDER BY key`,
  )) {
    yield { kind: 'key', key, value };
  }
  interface Due {
    readonly partition: Buffer;
    readonly id: Buffer;
    readonly value: Buffer;
    readonly due_at: number;
    readonly attempts: number;
    readonly first_claimed_at: number | null;
  }
  for await (const row of cursor<Due>(
    client,
    `SELECT coalesce(long_name, partition) AS partition, id, value, due_at, attempts, first_claimed_at
      FROM ${name}.due ORDER BY due.partition, due_at, id`,
  )) {
    const { partition, id, value, attempts } = row;
    const firstClaimedAtMs = row.first_claimed_at ?? undefined;
    yield { kind: 'due', partition, id, value, dueAtMs: row.due_at, attempts, firstClaimedAtMs };
  }
  for await (const { log, position, value } of cursor<{ log: Buffer; position: number; value: Buffer }>(
    client,
    `SELECT log, position, value FROM ${name}.log_entry ORDER BY log, position`,
  )) {
    yield { kind: 'log', log, position, value };
  }
  for await (const { log, next } of cursor<{ log: Buffer; next: number }>(
    client,
    `SELECT name AS log, next FROM ${name}.log ORDER BY name`,
  )) {
    yield { kind: 'position', log, next };
  }
}

/** Rows by and by, through a cursor of the open transaction. */
async function* cursor<Row>(client: PoolClient, query: string): AsyncIterable<Row> {
  await client.query(`DECLARE records NO SCROLL CURSOR FOR ${query}`);
  for (;;) {
    const { rows } = await client.query(prepared('', `FETCH ${rowsAtOnce} FROM records`, []));
    yield* rows as Row[];
    if (rows.length < rowsAtOnce) break;
  }
  await client.query('CLOSE records');
}
