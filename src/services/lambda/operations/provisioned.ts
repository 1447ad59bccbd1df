import type { Check } from '../../../kernel/store/contract.ts';
import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import type { PutProvisionedConcurrencyConfigResponse } from '../../../wire/types/lambda.ts';
import type { Engine } from '../engine.ts';
import { lambdaLimits } from '../limits.ts';
import { checkProvisioned, provisionedShares, provisionedTotal } from '../rules/concurrency.ts';
import { timestampText } from '../rules/description.ts';
import {
  conflict,
  functionArn,
  functionNotFound,
  invalidParameter,
  isVersionNumber,
  parseFunctionName,
} from '../rules/names.ts';
import {
  type AccountRecord,
  type AliasRecord,
  encode,
  type FunctionRecord,
  type FunctionVersion,
  keys,
  type Place,
  type ProvisionedRecord,
  read,
  readAll,
  type Stored,
  unchanged,
} from '../state.ts';
import { transact } from '../transaction.ts';
import { aliasNotFound, paged, placeOf, stamped, storedFunction, unqualifiedName } from './support.ts';

type ProvisionedOperations =
  | 'PutProvisionedConcurrencyConfig'
  | 'GetProvisionedConcurrencyConfig'
  | 'DeleteProvisionedConcurrencyConfig'
  | 'ListProvisionedConcurrencyConfigs';

/** What a configuration is for. */
interface Target {
  readonly stored: Stored<FunctionRecord>;
  /** How much of what is requested each version gets. */
  shares(requested: number): ReadonlyMap<string, number>;
  readonly alias: AliasRecord | undefined;
  readonly version: FunctionVersion | undefined;
}

/** Wording: LocalStack's recorded AWS responses (TestLambdaProvisionedConcurrency), where nothing else is said. */
export function provisionedOperations(engine: Engine): Pick<Handlers<'lambda'>, ProvisionedOperations> {
  const { store, clock } = engine.platform;

  const write = async (
    place: Place,
    name: string,
    decide: () => Promise<{ readonly stored: Stored<FunctionRecord>; readonly change: ProvisionChange } | undefined>,
  ): Promise<void> => {
    await transact(store, async () => {
      const decided = await decide();
      if (decided === undefined) return { result: undefined };
      const { check, set } = stamped(decided.stored, decided.change.record);
      const checks = [check, ...decided.change.checks];
      return { commit: { checks, set: [set, ...decided.change.set] }, result: undefined };
    });
    engine.directory.forget(place, name);
  };

  return {
    async PutProvisionedConcurrencyConfig(context, input) {
      const place = placeOf(context);
      const { name, qualifier = '$LATEST' } = parseFunctionName(input.FunctionName, input.Qualifier, place);
      if (qualifier === '$LATEST') throw unpublished();
      const requested = input.ProvisionedConcurrentExecutions;
      const provisioned: ProvisionedRecord = { requested, lastModifiedMs: clock.now() };
      await write(place, name, async () => {
        const target = await targetOf(engine, place, name, qualifier);
        checkTarget(target);
        await checkAliases(engine, place, target, qualifier);
        const { record } = target.stored;
        const account = await read<AccountRecord>(store, keys.account(place));
        const before: AccountRecord = account?.record ?? { reserved: {} };
        checkProvisioned(before, record, qualifier, requested, lambdaLimits.accountConcurrency.value);
        const all = { ...record.provisioned, [qualifier]: provisioned };
        return { stored: target.stored, change: provisionChange(place, { ...record, provisioned: all }, account) };
      });
      const shares = (await targetOf(engine, place, name, qualifier)).shares(requested);
      const shown = describe(engine, place, name, provisioned, shares);
      engine.provisioning.refresh(place, name).catch((error: unknown) => reportRefresh(engine, name, error));
      return shown;
    },

    async GetProvisionedConcurrencyConfig(context, input) {
      const place = placeOf(context);
      const { name, qualifier = '$LATEST' } = parseFunctionName(input.FunctionName, input.Qualifier, place);
      if (qualifier === '$LATEST') throw notQualified();
      const { stored, shares } = await targetOf(engine, place, name, qualifier);
      const provisioned = stored.record.provisioned?.[qualifier];
      if (provisioned === undefined)
        throw new AwsError(
          'ProvisionedConcurrencyConfigNotFoundException',
          'No Provisioned Concurrency Config found for this function',
          { status: 404, fields: { Type: 'User' } },
        );
      return describe(engine, place, name, provisioned, shares(provisioned.requested));
    },

    async DeleteProvisionedConcurrencyConfig(context, input) {
      const place = placeOf(context);
      const { name, qualifier = '$LATEST' } = parseFunctionName(input.FunctionName, input.Qualifier, place);
      if (qualifier === '$LATEST') throw notQualified();
      await write(place, name, async () => {
        const { stored } = await targetOf(engine, place, name, qualifier);
        // Deleting what is not configured succeeds.
        if (stored.record.provisioned?.[qualifier] === undefined) return undefined;
        return { stored, change: await withoutProvisioned(engine, place, stored.record, qualifier) };
      });
      await engine.provisioning.refresh(place, name);
    },

    async ListProvisionedConcurrencyConfigs(context, input) {
      const place = placeOf(context);
      const name = unqualifiedName(input.FunctionName, place);
      const { record } = await storedFunction(engine, place, name);
      const { page, next } = paged(Object.entries(record.provisioned ?? {}), input.Marker, input.MaxItems);
      const configs = await Promise.all(
        page.map(async ([qualifier, provisioned]) => {
          const { shares } = await targetOf(engine, place, name, qualifier);
          return {
            FunctionArn: functionArn(place, name, qualifier),
            ...describe(engine, place, name, provisioned, shares(provisioned.requested)),
          };
        }),
      );
      return { ProvisionedConcurrencyConfigs: configs, NextMarker: next };
    },
  };
}

/** The writes beside a function's record that changing its provisioned concurrency takes. */
interface ProvisionChange {
  readonly record: FunctionRecord;
  readonly checks: readonly Check[];
  readonly set: readonly { readonly key: Buffer; readonly value: Buffer }[];
}

/** A function without what is provisioned for one of its versions or aliases. */
export async function withoutProvisioned(
  engine: Engine,
  place: Place,
  record: FunctionRecord,
  qualifier: string,
): Promise<ProvisionChange> {
  if (record.provisioned?.[qualifier] === undefined) return { record, checks: [], set: [] };
  const { [qualifier]: _, ...provisioned } = record.provisioned;
  const account = await read<AccountRecord>(engine.platform.store, keys.account(place));
  return provisionChange(place, { ...record, provisioned }, account);
}

function provisionChange(
  place: Place,
  record: FunctionRecord,
  account: Stored<AccountRecord> | undefined,
): ProvisionChange {
  const key = keys.account(place);
  const before: AccountRecord = account?.record ?? { reserved: {} };
  const { [record.name]: _, ...others } = before.provisioned ?? {};
  const total = provisionedTotal(record.provisioned);
  const provisioned = total === 0 ? others : { ...others, [record.name]: total };
  return {
    record,
    checks: [unchanged(key, account)],
    set: [{ key, value: encode({ ...before, provisioned } satisfies AccountRecord) }],
  };
}

/** Refuses qualifiers that are not there; of a function that is not there, the qualifier is what is missing. */
async function targetOf(engine: Engine, place: Place, name: string, qualifier: string): Promise<Target> {
  const { store } = engine.platform;
  const stored = await read<FunctionRecord>(store, keys.function(place, name));
  if (isVersionNumber(qualifier)) {
    const version = await read<FunctionVersion>(store, keys.version(place, name, qualifier));
    if (stored === undefined || version === undefined) throw functionNotFound(place, name, qualifier);
    const shares = (requested: number): ReadonlyMap<string, number> => new Map([[qualifier, requested]]);
    return { stored, alias: undefined, version: version.record, shares };
  }
  const alias = await read<AliasRecord>(store, keys.alias(place, name, qualifier));
  if (stored === undefined || alias === undefined) throw aliasNotFound(place, name, qualifier);
  const number = alias.record.version;
  const version = isVersionNumber(number)
    ? await read<FunctionVersion>(store, keys.version(place, name, number))
    : undefined;
  const shares = (requested: number): ReadonlyMap<string, number> => provisionedShares(alias.record, requested);
  return { stored, alias: alias.record, version: version?.record, shares };
}

function checkTarget({ alias, version }: Target): void {
  if (alias?.version === '$LATEST') throw unpublished();
  // The text is quoted in public issues of Terraform.
  if (alias?.weights !== undefined)
    throw invalidParameter('Alias with weights can not be used with Provisioned Concurrency');
  // In words of our own: https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html says that they exclude each other.
  if (version?.snapStart === 'PublishedVersions')
    throw invalidParameter('Provisioned Concurrency is not supported for SnapStart enabled functions.');
}

/** A version is provisioned directly or through one alias. */
async function checkAliases(engine: Engine, place: Place, target: Target, qualifier: string): Promise<void> {
  const { name, provisioned = {} } = target.stored.record;
  const version = target.alias?.version ?? qualifier;
  if (target.alias !== undefined && provisioned[version] !== undefined)
    throw conflict("Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version");
  const aliases = await readAll<AliasRecord>(engine.platform.store, keys.aliases(place, name));
  const other = aliases.find(
    ({ record }) => record.name !== qualifier && provisioned[record.name] !== undefined && record.version === version,
  );
  if (other === undefined) return;
  throw target.alias === undefined
    ? conflict('Version is pointed by a Provisioned Concurrency alias')
    : conflict("Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version");
}

function describe(
  engine: Engine,
  place: Place,
  name: string,
  { requested, lastModifiedMs }: ProvisionedRecord,
  shares: ReadonlyMap<string, number>,
): PutProvisionedConcurrencyConfigResponse {
  const { status, reason, allocated, available } = engine.provisioning.status(place, name, shares);
  return {
    RequestedProvisionedConcurrentExecutions: requested,
    AvailableProvisionedConcurrentExecutions: available,
    AllocatedProvisionedConcurrentExecutions: allocated,
    Status: status,
    StatusReason: reason,
    LastModified: timestampText(lastModifiedMs),
  };
}

function reportRefresh(engine: Engine, functionName: string, error: unknown): void {
  const problem = error instanceof Error ? error.message : String(error);
  engine.platform.log.error('provisioned concurrency could not be started', { functionName, problem });
}

function unpublished(): AwsError {
  return invalidParameter('Provisioned Concurrency Configs cannot be applied to unpublished function versions.');
}

function notQualified(): AwsError {
  return invalidParameter('The function resource provided must be an alias or a published version.');
}
