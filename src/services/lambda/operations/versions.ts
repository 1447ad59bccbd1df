import type { Commit } from '../../../kernel/store/contract.ts';
import type { Handlers } from '../../../platform/service.ts';
import type { Engine } from '../engine.ts';
import { checkedWeights, describeAlias } from '../rules/aliases.ts';
import { checkMove } from '../rules/concurrency.ts';
import { publishedVersion, unbuilt } from '../rules/configuration.ts';
import { codeSha256, describeVersion } from '../rules/description.ts';
import {
  conflict,
  functionArn,
  functionNotFound,
  invalidParameter,
  notFound,
  parseFunctionName,
  revisionMismatch,
} from '../rules/names.ts';
import {
  type AliasRecord,
  encode,
  type FunctionRecord,
  type FunctionVersion,
  keys,
  type Place,
  read,
  readAll,
  type Stored,
  unchanged,
} from '../state.ts';
import { transact } from '../transaction.ts';
import { withoutProvisioned } from './provisioned.ts';
import {
  aliasNotFound,
  newStamp,
  paged,
  placeOf,
  refuseWhileChanging,
  stamped,
  storedFunction,
  unqualifiedName,
} from './support.ts';

type VersionOperations =
  | 'PublishVersion'
  | 'ListVersionsByFunction'
  | 'CreateAlias'
  | 'GetAlias'
  | 'UpdateAlias'
  | 'DeleteAlias'
  | 'ListAliases';

export function versionOperations(engine: Engine): Pick<Handlers<'lambda'>, VersionOperations> {
  const { store, random } = engine.platform;
  return {
    async PublishVersion(context, input) {
      if (input.PublishTo !== undefined) throw unbuilt('PublishTo');
      const place = placeOf(context);
      const { name } = parseFunctionName(input.FunctionName, undefined, place);
      const published = await transact(store, async () => {
        const stored = await storedFunction(engine, place, name);
        const { record } = stored;
        refuseWhileChanging(place, record);
        const { latest } = record;
        if (input.RevisionId !== undefined && input.RevisionId !== latest.revisionId)
          throw revisionMismatch('GetFunction/GetAlias');
        const sha = codeSha256(latest);
        if (input.CodeSha256 !== undefined && input.CodeSha256 !== '' && input.CodeSha256 !== sha)
          throw invalidParameter(
            `CodeSHA256 (${input.CodeSha256}) is different from current CodeSHA256 in $LATEST (${sha}). Please try again with the CodeSHA256 in $LATEST.`,
          );
        const newest = await newestVersion(engine, place, record);
        // Without a change since the version before, that one is the answer.
        if (newest?.publishedFrom === latest.environmentId) return { result: newest };
        const version = publishedVersion(latest, record.nextVersion, input.Description, newStamp(engine));
        const { check, set } = stamped(stored, { ...record, nextVersion: record.nextVersion + 1 });
        const commit: Commit = {
          checks: [check],
          set: [set, { key: keys.version(place, name, version.version), value: encode(version) }],
          sum: [{ key: keys.codeBytes(place), delta: version.codeBytes }],
          schedule: version.state === 'Pending' ? [engine.lifecycle.functionJob(place, name)] : [],
        };
        return { commit, result: version };
      });
      engine.directory.forget(place, name);
      return describeVersion(place, name, published, 'full', published.version);
    },

    async ListVersionsByFunction(context, input) {
      const place = placeOf(context);
      const { name } = parseFunctionName(input.FunctionName, undefined, place);
      const { record } = await storedFunction(engine, place, name);
      const versions = await readAll<FunctionVersion>(store, keys.versions(place, name));
      const listed = [record.latest, ...versions.map((stored) => stored.record)].map((version) =>
        describeVersion(place, name, version, 'listed', version.version),
      );
      const { page, next } = paged(listed, input.Marker, input.MaxItems);
      return { Versions: page, NextMarker: next };
    },

    async CreateAlias(context, input) {
      const place = placeOf(context);
      const name = unqualifiedName(input.FunctionName, place);
      const alias = await transact(store, async () => {
        const stored = await read<FunctionRecord>(store, keys.function(place, name));
        if (stored === undefined) throw functionNotFound(place, name, input.FunctionVersion);
        const weights = checkedWeights(input.RoutingConfig, input.FunctionVersion);
        await checkVersions(engine, place, name, [input.FunctionVersion, ...Object.keys(weights ?? {})]);
        const key = keys.alias(place, name, input.Name);
        if ((await store.get(key)) !== undefined)
          throw conflict(`Alias already exists: ${functionArn(place, name, input.Name)}`);
        const created: AliasRecord = {
          name: input.Name,
          version: input.FunctionVersion,
          description: input.Description ?? '',
          ...(weights === undefined ? {} : { weights }),
          revisionId: random.uuid(),
        };
        const { check, set } = stamped(stored);
        const checks = [check, { key, version: null }];
        return { commit: { checks, set: [set, { key, value: encode(created) }] }, result: created };
      });
      engine.directory.forget(place, name);
      return describeAlias(place, name, alias);
    },

    async GetAlias(context, input) {
      const place = placeOf(context);
      const name = unqualifiedName(input.FunctionName, place);
      const alias = await read<AliasRecord>(store, keys.alias(place, name, input.Name));
      if (alias === undefined) throw aliasNotFound(place, name, input.Name);
      return describeAlias(place, name, alias.record);
    },

    async UpdateAlias(context, input) {
      const place = placeOf(context);
      const name = unqualifiedName(input.FunctionName, place);
      const alias = await transact(store, async () => {
        const stored = await read<FunctionRecord>(store, keys.function(place, name));
        const key = keys.alias(place, name, input.Name);
        const before = stored === undefined ? undefined : await read<AliasRecord>(store, key);
        if (stored === undefined || before === undefined)
          throw notFound(`Alias not found: ${functionArn(place, name, input.Name)}`);
        if (input.RevisionId !== undefined && input.RevisionId !== before.record.revisionId)
          throw revisionMismatch('GetFunction/GetAlias');
        const after = changedAlias(before, input, random.uuid());
        await checkVersions(engine, place, name, [after.version, ...Object.keys(after.weights ?? {})]);
        checkMove(stored.record, after);
        const { check, set } = stamped(stored);
        const checks = [check, unchanged(key, before)];
        return { commit: { checks, set: [set, { key, value: encode(after) }] }, result: after };
      });
      engine.directory.forget(place, name);
      await engine.provisioning.refresh(place, name);
      return describeAlias(place, name, alias);
    },

    async DeleteAlias(context, input) {
      const place = placeOf(context);
      const name = unqualifiedName(input.FunctionName, place);
      await transact(store, async () => {
        const stored = await read<FunctionRecord>(store, keys.function(place, name));
        const key = keys.alias(place, name, input.Name);
        // Deleting an alias that is not there succeeds.
        if (stored === undefined || (await store.get(key)) === undefined) return { result: undefined };
        const unprovisioned = await withoutProvisioned(engine, place, stored.record, input.Name);
        const { check, set } = stamped(stored, unprovisioned.record);
        const gone = [key, keys.policy(place, name, input.Name), keys.invokeConfig(place, name, input.Name)];
        const checks = [check, ...unprovisioned.checks];
        return { commit: { checks, set: [set, ...unprovisioned.set], delete: gone }, result: undefined };
      });
      engine.directory.forget(place, name);
      await engine.provisioning.refresh(place, name);
    },

    async ListAliases(context, input) {
      const place = placeOf(context);
      const name = unqualifiedName(input.FunctionName, place);
      await storedFunction(engine, place, name);
      const aliases = await readAll<AliasRecord>(store, keys.aliases(place, name));
      const listed = aliases
        .map(({ record }) => record)
        .filter((alias) => input.FunctionVersion === undefined || alias.version === input.FunctionVersion);
      const { page, next } = paged(listed, input.Marker, input.MaxItems);
      return { Aliases: page.map((alias) => describeAlias(place, name, alias)), NextMarker: next };
    },
  };
}

function changedAlias(
  { record: before }: Stored<AliasRecord>,
  input: {
    readonly FunctionVersion?: string | undefined;
    readonly Description?: string | undefined;
    readonly RoutingConfig?: Parameters<typeof checkedWeights>[0];
  },
  revisionId: string,
): AliasRecord {
  const version = input.FunctionVersion ?? before.version;
  const { weights: kept, ...rest } = before;
  const weights =
    input.RoutingConfig === undefined
      ? checkedWeights(kept === undefined ? undefined : { AdditionalVersionWeights: kept }, version)
      : checkedWeights(input.RoutingConfig, version);
  return {
    ...rest,
    version,
    description: input.Description ?? before.description,
    ...(weights === undefined ? {} : { weights }),
    revisionId,
  };
}

async function checkVersions(engine: Engine, place: Place, name: string, versions: readonly string[]): Promise<void> {
  for (const version of versions) {
    if (version === '$LATEST') continue;
    const found = /^\d+$/.test(version)
      ? await engine.platform.store.get(keys.version(place, name, version))
      : undefined;
    if (found === undefined) throw functionNotFound(place, name, version);
  }
}

async function newestVersion(
  engine: Engine,
  place: Place,
  { name, nextVersion }: FunctionRecord,
): Promise<FunctionVersion | undefined> {
  if (nextVersion === 1) return undefined;
  return (await read<FunctionVersion>(engine.platform.store, keys.version(place, name, String(nextVersion - 1))))
    ?.record;
}
