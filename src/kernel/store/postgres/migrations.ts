import type { ClientBase } from 'pg';
import { StoreOpenError } from '../open-error.ts';

/**
 * The tables and functions, as numbered steps. A step that was released is never changed: the next one changes what it
 * left. `$SCHEMA` stands for the quoted schema.
 *
 * How commits run beside each other (READ COMMITTED; every statement in a function sees what was committed before it):
 * - A commit first takes advisory locks on the hash of every key, log and due entry it names, in ascending order. So two
 *   commits never wait for each other in a circle, and what a check has seen, absence too, stays so until the end.
 *   A collision of hashes only makes one wait. All locks are held until the commit is durable and visible.
 * - Versions are drawn after the locks are taken: so they grow with every write of a key.
 * - Claims take no such locks. They lock rows, skip those that are locked, and wait for nobody; a commit that settles
 *   an entry waits for a claim of it, then judges the token.
 * - Lock 0, the gate, is shared by all commits and claims; a restore, or a commit of very many keys, takes it alone.
 */
export const migrations: readonly string[] = [
  `
  CREATE SEQUENCE $SCHEMA.version;
  CREATE TABLE $SCHEMA.entry (key bytea PRIMARY KEY, value bytea NOT NULL, version bigint NOT NULL);
  -- A long partition is known by its beginning and a hash (see partitionKey in codec.ts) and written out in "long_name".
  CREATE TABLE $SCHEMA.due (
    partition bytea NOT NULL,
    id bytea NOT NULL,
    due_at bigint NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    first_claimed_at bigint,
    token bigint,
    long_name bytea,
    value bytea NOT NULL,
    PRIMARY KEY (partition, id)
  );
  CREATE INDEX due_order ON $SCHEMA.due (partition, due_at, id);
  -- Queues leave dead rows at the head of their index, which every claim would have to step over.
  ALTER TABLE $SCHEMA.due SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
  ALTER TABLE $SCHEMA.entry SET (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05);
  CREATE TABLE $SCHEMA.log (name bytea PRIMARY KEY, next bigint NOT NULL) WITH (fillfactor = 50);
  CREATE TABLE $SCHEMA.log_entry (log bytea, position bigint, value bytea NOT NULL, PRIMARY KEY (log, position));

  CREATE FUNCTION $SCHEMA.take_locks(class integer, locks integer[], alone boolean) RETURNS void
  LANGUAGE plpgsql AS $$
  DECLARE
    one integer;
  BEGIN
    IF alone THEN
      PERFORM pg_advisory_xact_lock(class, 0);
    ELSE
      PERFORM pg_advisory_xact_lock_shared(class, 0);
      FOREACH one IN ARRAY locks LOOP
        PERFORM pg_advisory_xact_lock(class, one);
      END LOOP;
    END IF;
  END $$;

  -- Callers send each key, log and due entry once: what several parts of a commit do to one is merged before.
  -- The result: which check failed, or else which fence, counted from 1 (0: none), the version, the first position per log.
  CREATE FUNCTION $SCHEMA.write_commit(
    class integer, locks integer[], alone boolean,
    check_keys bytea[], check_versions bigint[],
    fence_partitions bytea[], fence_ids bytea[], fence_tokens bigint[],
    set_keys bytea[], set_values bytea[],
    delete_keys bytea[],
    sum_keys bytea[], sum_deltas bigint[],
    logs bytea[], log_counts bigint[],
    append_logs bigint[], append_offsets bigint[], append_values bytea[],
    trim_logs bytea[], trim_befores bigint[],
    schedule_partitions bytea[], schedule_ids bytea[], schedule_dues bigint[], schedule_long_names bytea[],
    schedule_values bytea[],
    remove_partitions bytea[], remove_ids bytea[],
    move_partitions bytea[], move_ids bytea[], move_dues bigint[], move_values bytea[]
  ) RETURNS TABLE (failed_check bigint, failed_fence bigint, new_version bigint, firsts bigint[])
  LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM $SCHEMA.take_locks(class, locks, alone);
    failed_check := 0;
    failed_fence := 0;

    IF check_keys IS NOT NULL THEN
      SELECT c.number INTO failed_check
        FROM unnest(check_keys, check_versions) WITH ORDINALITY AS c (key, version, number)
        LEFT JOIN $SCHEMA.entry e ON e.key = c.key
        WHERE e.version IS DISTINCT FROM c.version ORDER BY c.number LIMIT 1;
      IF FOUND THEN RETURN NEXT; RETURN; END IF;
      failed_check := 0;
    END IF;

    IF fence_partitions IS NOT NULL THEN
      -- Waits for claims under way; the next statement sees what they left.
      PERFORM 1 FROM unnest(fence_partitions, fence_ids) AS f (partition, id)
        JOIN $SCHEMA.due d ON d.partition = f.partition AND d.id = f.id FOR UPDATE OF d;
      SELECT f.number INTO failed_fence
        FROM unnest(fence_partitions, fence_ids, fence_tokens) WITH ORDINALITY AS f (partition, id, token, number)
        LEFT JOIN $SCHEMA.due d ON d.partition = f.partition AND d.id = f.id
        WHERE d.token IS DISTINCT FROM f.token ORDER BY f.number LIMIT 1;
      IF FOUND THEN RETURN NEXT; RETURN; END IF;
      failed_fence := 0;
    END IF;

    new_version := nextval('$SCHEMA.version');

    IF set_keys IS NOT NULL THEN
      INSERT INTO $SCHEMA.entry AS e (key, value, version)
        SELECT s.key, s.value, new_version FROM unnest(set_keys, set_values) AS s (key, value)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version;
    END IF;

    IF delete_keys IS NOT NULL THEN
      DELETE FROM $SCHEMA.entry WHERE key = ANY (delete_keys);
    END IF;

    IF sum_keys IS NOT NULL THEN
      INSERT INTO $SCHEMA.entry AS e (key, value, version)
        SELECT s.key, int8send(s.delta), new_version FROM unnest(sum_keys, sum_deltas) AS s (key, delta)
        ON CONFLICT (key) DO UPDATE
          SET value = int8send($SCHEMA.counter(e.value) + $SCHEMA.counter(excluded.value)), version = new_version;
    END IF;

    IF logs IS NOT NULL THEN
      WITH moved AS (
        INSERT INTO $SCHEMA.log AS l (name, next)
          SELECT a.name, a.count + 1 FROM unnest(logs, log_counts) AS a (name, count)
          ON CONFLICT (name) DO UPDATE SET next = l.next + excluded.next - 1
          RETURNING l.name, l.next
      )
      SELECT array_agg(m.next - a.count ORDER BY a.number) INTO firsts
        FROM unnest(logs, log_counts) WITH ORDINALITY AS a (name, count, number) JOIN moved m ON m.name = a.name;
      INSERT INTO $SCHEMA.log_entry (log, position, value)
        SELECT logs[a.log::integer], firsts[a.log::integer] + a.place, a.value
        FROM unnest(append_logs, append_offsets, append_values) AS a (log, place, value);
    END IF;

    IF trim_logs IS NOT NULL THEN
      DELETE FROM $SCHEMA.log_entry e USING unnest(trim_logs, trim_befores) AS t (log, before)
        WHERE e.log = t.log AND e.position < t.before;
    END IF;

    IF schedule_partitions IS NOT NULL THEN
      INSERT INTO $SCHEMA.due AS d (partition, id, due_at, long_name, value)
        SELECT * FROM unnest(schedule_partitions, schedule_ids, schedule_dues, schedule_long_names, schedule_values)
        ON CONFLICT (partition, id) DO UPDATE
          SET due_at = excluded.due_at, value = excluded.value, attempts = 0, first_claimed_at = NULL, token = NULL;
    END IF;

    IF remove_partitions IS NOT NULL THEN
      DELETE FROM $SCHEMA.due d USING unnest(remove_partitions, remove_ids) AS r (partition, id)
        WHERE d.partition = r.partition AND d.id = r.id;
    END IF;

    IF move_partitions IS NOT NULL THEN
      UPDATE $SCHEMA.due d SET due_at = m.due_at, value = coalesce(m.value, d.value)
        FROM unnest(move_partitions, move_ids, move_dues, move_values) AS m (partition, id, due_at, value)
        WHERE d.partition = m.partition AND d.id = m.id;
    END IF;

    RETURN NEXT;
  END $$;

  -- Eight bytes, big-endian, as PostgreSQL's own int8send writes them.
  CREATE FUNCTION $SCHEMA.counter(value bytea) RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT AS $$
  BEGIN
    IF length(value) <> 8 THEN
      RAISE EXCEPTION 'a sum over a key that is no counter' USING ERRCODE = 'data_exception';
    END IF;
    RETURN ('x' || encode(value, 'hex'))::bit(64)::bigint;
  END $$;

  CREATE FUNCTION $SCHEMA.claim(class integer, of bytea, due_by bigint, until bigint, first_at bigint, atmost bigint)
  RETURNS TABLE (id bytea, value bytea, was_due_at bigint, attempts integer, first_claimed_at bigint, token bigint)
  LANGUAGE plpgsql AS $$
  #variable_conflict use_column
  BEGIN
    PERFORM pg_advisory_xact_lock_shared(class, 0);
    RETURN QUERY
      WITH taken AS MATERIALIZED (
        SELECT t.id, t.due_at FROM $SCHEMA.due t
          WHERE t.partition = of AND t.due_at <= due_by
          ORDER BY t.due_at, t.id LIMIT atmost FOR UPDATE SKIP LOCKED
      ), drawn AS MATERIALIZED (
        SELECT nextval('$SCHEMA.version') AS token WHERE EXISTS (SELECT FROM taken)
      )
      UPDATE $SCHEMA.due d
        SET due_at = until, attempts = d.attempts + 1, token = drawn.token,
          first_claimed_at = coalesce(d.first_claimed_at, first_at)
        FROM taken, drawn WHERE d.partition = of AND d.id = taken.id
        RETURNING d.id, d.value, taken.due_at, d.attempts, d.first_claimed_at, d.token;
  END $$;
  `,
];

/** Brings the schema to the newest step; several processes may try at once. Throws StoreOpenError for a newer one. */
export async function migrate(
  client: ClientBase,
  schema: string,
  steps: readonly string[] = migrations,
): Promise<void> {
  if ((await stepOf(client, schema)) === steps.length) return;
  // One process at a time. Not within the transaction: a transaction that waited for the lock could still take from its
  // caches that there are no tables yet.
  const lock = [`unkai migrations ${schema}`];
  await client.query('SELECT pg_advisory_lock(hashtextextended($1, 0))', lock);
  try {
    await takeSteps(client, schema, steps);
  } finally {
    await client.query('SELECT pg_advisory_unlock(hashtextextended($1, 0))', lock).catch(() => {});
  }
}

async function takeSteps(client: ClientBase, schema: string, steps: readonly string[]): Promise<void> {
  const quoted = `"${schema}"`;
  await client.query('BEGIN');
  try {
    const found = await stepOf(client, schema);
    if (found > steps.length) {
      throw new StoreOpenError(
        `the schema ${schema} in PostgreSQL is of a newer version (step ${found}; this one knows ${steps.length})`,
        'Run the newer version that wrote it, or use another database.',
      );
    }
    if (found === 0) {
      await client.query(`CREATE SCHEMA IF NOT EXISTS ${quoted}`);
      await client.query(`CREATE TABLE IF NOT EXISTS ${quoted}.migration (
        step integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())`);
    }
    for (let step = found + 1; step <= steps.length; step++) {
      await client.query(steps[step - 1]!.replaceAll('$SCHEMA', quoted));
      await client.query(`INSERT INTO ${quoted}.migration (step) VALUES ($1)`, [step]);
    }
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
}

async function stepOf(client: ClientBase, schema: string): Promise<number> {
  const found = await client.query('SELECT to_regclass($1) IS NOT NULL AS found', [`"${schema}".migration`]);
  if (found.rows[0]?.found !== true) return 0;
  const { rows } = await client.query(`SELECT coalesce(max(step), 0) AS step FROM "${schema}".migration`);
  return Number(rows[0].step);
}
