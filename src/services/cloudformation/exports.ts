import type { StackOutput } from '../../deploy/engine-state.ts';
import type { Check, Commit } from '../../kernel/store/contract.ts';
import type { Environment } from './environment.ts';
import { transact } from './environment.ts';
import { decode, type ExportRecord, encode, keys, readAll, type StackRecord } from './state.ts';

/**
 * Makes a stack's exports those of its outputs, unless another stack has the name, or imports one that would go or change.
 * Answers why not. Doing it again changes nothing.
 */
export async function publishExports(
  env: Environment,
  stack: StackRecord,
  outputs: readonly StackOutput[],
  fence: Check,
): Promise<string | undefined> {
  const { store } = env.platform;
  const wanted = outputs.filter((output) => output.exportName !== undefined);
  const twice = wanted.find((output, index) => wanted.findIndex((o) => o.exportName === output.exportName) !== index);
  if (twice !== undefined) return `Duplicate Export names are not allowed: ${twice.exportName}`;
  const { problem } = await transact(async () => {
    const own = (await exportRecords(env, stack)).filter((record) => record.stackId === stack.id);
    const checks: Check[] = [fence];
    const set: { key: Buffer; value: Uint8Array }[] = [];
    for (const { exportName, value } of wanted) {
      const key = keys.export(stack, exportName as string);
      const entry = await store.get(key);
      const holder = entry && decode<ExportRecord>(entry.value);
      if (holder !== undefined && holder.stackId !== stack.id) {
        // Text: https://github.com/aws/aws-cdk/issues/3414
        return { problem: `Export with name ${exportName} is already exported by stack ${holder.stackName}` };
      }
      checks.push({ key, version: entry?.version ?? null });
      if (holder?.value === value) continue;
      const user = holder === undefined ? undefined : await importerOf(env, stack, holder.name);
      // Texts: https://github.com/linz/geostore/issues/630 and https://github.com/anomalyco/sst/issues/1256
      if (user !== undefined) return { problem: `Export ${exportName} cannot be updated as it is in use by ${user}` };
      const record: ExportRecord = {
        name: exportName as string,
        stackId: stack.id,
        stackArn: stack.arn,
        stackName: stack.name,
        value,
      };
      set.push({ key, value: encode(record) });
    }
    const gone = own.filter((record) => !wanted.some((output) => output.exportName === record.name));
    for (const { name } of gone) {
      const user = await importerOf(env, stack, name);
      if (user !== undefined) return { problem: `Export ${name} cannot be deleted as it is in use by ${user}` };
    }
    const result = await store.commit({ checks, set, delete: gone.map(({ name }) => keys.export(stack, name)) });
    if (result.ok) return { problem: undefined };
    if ('check' in result.conflict && result.conflict.check === 0)
      throw new Error('another run of this operation has begun');
    return undefined;
  });
  return problem;
}

/** Why a stack cannot be deleted: an export of it that another stack imports. */
export async function exportInUse(env: Environment, stack: StackRecord): Promise<string | undefined> {
  for (const { name, stackId } of await exportRecords(env, stack)) {
    if (stackId !== stack.id) continue;
    const user = await importerOf(env, stack, name);
    if (user !== undefined) return `Export ${name} cannot be deleted as it is in use by ${user}`;
  }
  return undefined;
}

/** The deletion of a stack's exports, for the commit that ends it. */
export async function unpublished(env: Environment, stack: StackRecord): Promise<Pick<Commit, 'delete'>> {
  const own = (await exportRecords(env, stack)).filter((record) => record.stackId === stack.id);
  return { delete: own.map(({ name }) => keys.export(stack, name)) };
}

export function exportRecords(
  { platform: { store } }: Environment,
  stack: Pick<StackRecord, 'account' | 'region'>,
): Promise<readonly ExportRecord[]> {
  return readAll<ExportRecord>(store, keys.exports(stack));
}

/** The names of the stacks that import an export. */
export async function importersOf(
  { platform: { store } }: Environment,
  place: Pick<StackRecord, 'account' | 'region'>,
  name: string,
): Promise<readonly string[]> {
  const records = await readAll<{ readonly stackName: string }>(store, keys.importsOf(place, name));
  return records.map(({ stackName }) => stackName);
}

async function importerOf(env: Environment, stack: StackRecord, name: string): Promise<string | undefined> {
  return (await importersOf(env, stack, name)).find((user) => user !== stack.name);
}
