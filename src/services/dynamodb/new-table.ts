import { agendaPartition } from '../../kernel/agenda/agenda.ts';
import { type Commit, counterBytes, counterValue } from '../../kernel/store/contract.ts';
import { prefixRange } from '../../kernel/store/keys.ts';
import type { TableDescription } from '../../wire/types/dynamodb.ts';
import { describe } from './describe.ts';
import type { Environment, Place } from './environment.ts';
import { RuleError } from './rules/errors.ts';
import { tableExists } from './rules/tables.ts';
import { encodeRecord, lastTableIdKey, type TableRecord, tableKey, tablesOf } from './state.ts';
import { tableOf } from './tables.ts';

export interface NewTable {
  readonly record: TableRecord;
  /** What belongs into its commit beside. */
  readonly more: Pick<Commit, 'checks' | 'set' | 'schedule'>;
}

/** The kind of the jobs that end what tables are in the middle of. */
export const tableKind = 'dynamodb.table';

/** Makes a table under the next number; undefined: the commit lost against another. Throws RuleError. */
export async function addTable(
  env: Environment,
  { account, region }: Place,
  name: string,
  make: (id: number, nowMs: number) => Promise<NewTable>,
): Promise<TableDescription | undefined> {
  const { store, clock } = env.platform;
  const key = tableKey(account, region, name);
  const [existing, last] = await store.getMany([key, lastTableIdKey]);
  if (existing !== undefined) throw tableExists(name);
  await checkCount(env, { account, region });
  await checkUnderWay(env, { account, region });
  const nowMs = clock.now();
  const id = counterValue(last?.value) + 1;
  const { record, more } = await make(id, nowMs);
  const value = encodeRecord(record);
  const result = await store.commit({
    ...more,
    checks: [{ key, version: null }, { key: lastTableIdKey, version: last?.version ?? null }, ...(more.checks ?? [])],
    set: [{ key, value }, { key: lastTableIdKey, value: counterBytes(id) }, ...(more.set ?? [])],
  });
  if (!result.ok) return undefined;
  const table = tableOf({ key, value, version: result.version });
  env.tables.forget(table);
  return describe(env, table, nowMs);
}

/** Tables that are being created, updated or deleted at once. Throws RuleError. */
export async function checkUnderWay(env: Environment, { account, region }: Place): Promise<void> {
  const most = env.limits.tablesUnderWay;
  const partition = agendaPartition(tableKind);
  // Of all accounts and regions; seldom so many that one needs to look whose they are.
  if ((await env.platform.store.countDue(partition)) < most) return;
  const jobs = await env.platform.store.listDue(partition);
  const ofPlace = jobs.filter(({ value }) => {
    const payload = JSON.parse(value.toString('utf8')) as Place;
    return payload.account === account && payload.region === region;
  });
  if (ofPlace.length < most) return;
  throw new RuleError(
    `Subscriber limit exceeded: Only ${most} tables can be created, updated, or deleted simultaneously`,
    'LimitExceededException',
  );
}

async function checkCount(env: Environment, { account, region }: Place): Promise<void> {
  const { tables: most } = env.limits;
  if (!Number.isFinite(most)) return;
  if ((await env.platform.store.count(prefixRange(tablesOf(account, region)))) < most) return;
  throw new RuleError(
    `Subscriber limit exceeded: There is a limit of ${most} tables per subscriber`,
    'LimitExceededException',
  );
}
