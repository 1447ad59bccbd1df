import type { Commit } from '../../../kernel/store/contract.ts';
import type { Handlers } from '../../../platform/service.ts';
import type { FunctionCodeLocation } from '../../../wire/types/lambda.ts';
import { codeLocation } from '../code-surface.ts';
import { servedLatest } from '../directory.ts';
import type { Engine } from '../engine.ts';
import {
  checkPackageType,
  newFunctionVersion,
  publishedVersion,
  recoded,
  reconfigured,
  unbuilt,
} from '../rules/configuration.ts';
import { describeVersion } from '../rules/description.ts';
import { conflict, functionNotFound, invalidParameter, parseFunctionName, revisionMismatch } from '../rules/names.ts';
import {
  type AccountRecord,
  encode,
  type FunctionRecord,
  type FunctionVersion,
  keys,
  type Place,
  read,
  readAll,
  type Stored,
  type UrlRecord,
  unchanged,
} from '../state.ts';
import { transact } from '../transaction.ts';
import { type CodeSource, storeCode } from './code.ts';
import { checkSigning } from './code-signing.ts';
import { resolveLayers } from './layers.ts';
import { withoutProvisioned } from './provisioned.ts';
import {
  newStamp,
  paged,
  placeOf,
  qualifiedVersion,
  refuseWhileChanging,
  storedFunction,
  unqualifiedName,
} from './support.ts';
import { checkTags } from './tags.ts';

type FunctionOperations =
  | 'CreateFunction'
  | 'GetFunction'
  | 'GetFunctionConfiguration'
  | 'UpdateFunctionCode'
  | 'UpdateFunctionConfiguration'
  | 'DeleteFunction'
  | 'ListFunctions';

export function functionOperations(engine: Engine): Pick<Handlers<'lambda'>, FunctionOperations> {
  const { store } = engine.platform;
  return {
    async CreateFunction(context, input) {
      const place = placeOf(context);
      const name = unqualifiedName(input.FunctionName, place);
      checkTags(input.Tags ?? {});
      checkPackageType(input);
      const stamp = newStamp(engine);
      const layers = await resolveLayers(engine, context, input.Layers ?? []);
      const image = input.PackageType === 'Image';
      await checkSigning(engine, place, input.CodeSigningConfigArn, image);
      const code = await storeCode(engine, place, input.Code, image);
      const latest = newFunctionVersion({ ...input, FunctionName: name }, code, layers, stamp);
      const published = input.Publish ? publishedVersion(latest, 1, undefined, newStamp(engine)) : undefined;
      const record: FunctionRecord = {
        name,
        id: engine.platform.random.uuid(),
        latest,
        nextVersion: published === undefined ? 1 : 2,
        tags: input.Tags ?? {},
        ...(input.CodeSigningConfigArn ? { codeSigningConfigArn: input.CodeSigningConfigArn } : {}),
      };
      await transact(store, async () => {
        const key = keys.function(place, name);
        const existing = await read<FunctionRecord>(store, key);
        if (existing !== undefined) throw conflict(`Function already exist: ${name}`);
        const set = [{ key, value: encode(record) }];
        if (published !== undefined) set.push({ key: keys.version(place, name, '1'), value: encode(published) });
        const commit: Commit = {
          checks: [{ key, version: null }],
          set,
          sum: [{ key: keys.codeBytes(place), delta: latest.codeBytes * set.length }],
          schedule: [engine.lifecycle.functionJob(place, name)],
        };
        return { commit, result: undefined };
      });
      engine.directory.forget(place, name);
      return published === undefined
        ? describeVersion(place, name, latest, 'created')
        : describeVersion(place, name, published, 'created', '1');
    },

    async GetFunction(context, input) {
      const place = placeOf(context);
      const { name, qualifier } = parseFunctionName(input.FunctionName, input.Qualifier, place);
      const stored = await storedFunction(engine, place, name, qualifier);
      const version = await qualifiedVersion(engine, place, stored, qualifier);
      const { tags, reservedConcurrency } = stored.record;
      return {
        Configuration: describeVersion(place, name, version, 'full', qualifier),
        Code: describeCode(context.origin, place, name, version),
        Tags: Object.keys(tags).length === 0 ? undefined : tags,
        Concurrency:
          reservedConcurrency === undefined ? undefined : { ReservedConcurrentExecutions: reservedConcurrency },
      };
    },

    async GetFunctionConfiguration(context, input) {
      const place = placeOf(context);
      const { name, qualifier } = parseFunctionName(input.FunctionName, input.Qualifier, place);
      const stored = await storedFunction(engine, place, name, qualifier);
      const version = await qualifiedVersion(engine, place, stored, qualifier);
      return describeVersion(place, name, version, 'full', qualifier);
    },

    async UpdateFunctionCode(context, input) {
      if (input.PublishTo !== undefined) throw unbuilt('PublishTo');
      const place = placeOf(context);
      const { name } = parseFunctionName(input.FunctionName, undefined, place);
      const { record: before } = await storedFunction(engine, place, name);
      checkSource(before.latest, input);
      checkRevision(before.latest, input.RevisionId);
      refuseWhileChanging(place, before);
      await checkSigning(engine, place, before.codeSigningConfigArn, false);
      const code = await storeCode(engine, place, input, before.latest.image !== undefined);
      const stamp = newStamp(engine);
      const change = (latest: FunctionVersion): FunctionVersion =>
        recoded(latest, code, input.Architectures?.[0], stamp);
      if (input.DryRun) return describeVersion(place, name, change(before.latest), 'full');
      return update(engine, place, name, input.RevisionId, change, input.Publish === true);
    },

    async UpdateFunctionConfiguration(context, input) {
      const place = placeOf(context);
      const { name } = parseFunctionName(input.FunctionName, undefined, place);
      const stamp = newStamp(engine);
      const named = input.Layers === undefined ? undefined : await resolveLayers(engine, context, input.Layers);
      if (named !== undefined && named.length > 0) {
        const { record } = await storedFunction(engine, place, name);
        await checkSigning(engine, place, record.codeSigningConfigArn, false);
      }
      const change = (latest: FunctionVersion): FunctionVersion =>
        reconfigured(latest, input, named ?? latest.layers ?? [], stamp);
      return update(engine, place, name, input.RevisionId, change, false);
    },

    async DeleteFunction(context, input) {
      const place = placeOf(context);
      const { name, qualifier } = parseFunctionName(input.FunctionName, input.Qualifier, place);
      if (qualifier === '$LATEST')
        throw invalidParameter('$LATEST version cannot be deleted without deleting the function.');
      if (qualifier === undefined) await deleteFunction(engine, place, name);
      else await deleteVersion(engine, place, name, qualifier);
      engine.directory.forget(place, name);
      return { StatusCode: 204 };
    },

    async ListFunctions(context, input) {
      const place = placeOf(context);
      const functions = await readAll<FunctionRecord>(store, keys.functions(place));
      const all = input.FunctionVersion === 'ALL';
      const published = all ? await publishedByName(engine, place, functions) : new Map<string, FunctionVersion[]>();
      const listed = functions.flatMap(({ record }) => [
        describeVersion(place, record.name, record.latest, 'listed', all ? '$LATEST' : undefined),
        ...(published.get(record.name) ?? []).map((version) =>
          describeVersion(place, record.name, version, 'listed', version.version),
        ),
      ]);
      const { page, next } = paged(listed, input.Marker, input.MaxItems);
      return { Functions: page, NextMarker: next };
    },
  };
}

function describeCode(origin: string, place: Place, name: string, version: FunctionVersion): FunctionCodeLocation {
  const { image } = version;
  if (image === undefined) return { RepositoryType: 'S3', Location: codeLocation(origin, place, name, version) };
  return { RepositoryType: 'ECR', ImageUri: image.uri, ResolvedImageUri: image.resolvedUri };
}

/** A function's package type is for life (recorded: test_lambda_image_crud, test_lambda_zip_file_to_image). */
function checkSource({ image }: FunctionVersion, { ImageUri }: CodeSource): void {
  if (image !== undefined && !ImageUri)
    throw invalidParameter('Please provide ImageUri when updating a function with packageType Image.');
  if (image === undefined && ImageUri)
    throw invalidParameter("Please don't provide ImageUri when updating a function with packageType Zip.");
}

function checkRevision(latest: FunctionVersion, revisionId: string | undefined): void {
  if (revisionId !== undefined && revisionId !== latest.revisionId) throw revisionMismatch('GetFunction/GetAlias');
}

/** Puts a change of $LATEST in progress: what is invoked stays as it was until the change is settled. */
async function update(
  engine: Engine,
  place: Place,
  name: string,
  revisionId: string | undefined,
  change: (latest: FunctionVersion) => FunctionVersion,
  publish: boolean,
): ReturnType<NonNullable<Handlers<'lambda'>['UpdateFunctionCode']>> {
  const { store } = engine.platform;
  const shown = await transact(store, async () => {
    const stored = await storedFunction(engine, place, name);
    const { record } = stored;
    checkRevision(record.latest, revisionId);
    refuseWhileChanging(place, record);
    const latest = change(record.latest);
    const published = publish ? publishedVersion(latest, record.nextVersion, undefined, newStamp(engine)) : undefined;
    const serving = record.latest.state === 'Active' ? { serving: servedLatest(record) } : {};
    const next: FunctionRecord = {
      ...record,
      ...serving,
      latest,
      nextVersion: record.nextVersion + (published === undefined ? 0 : 1),
    };
    const set = [{ key: stored.key, value: encode(next) }];
    if (published !== undefined)
      set.push({ key: keys.version(place, name, published.version), value: encode(published) });
    const delta = latest.codeBytes - record.latest.codeBytes + (published?.codeBytes ?? 0);
    const commit: Commit = {
      checks: [unchanged(stored.key, stored)],
      set,
      sum: delta === 0 ? [] : [{ key: keys.codeBytes(place), delta }],
      schedule: [engine.lifecycle.functionJob(place, name)],
    };
    const result =
      published === undefined
        ? describeVersion(place, name, latest, 'full')
        : describeVersion(place, name, published, 'full', published.version);
    return { commit, result };
  });
  engine.directory.forget(place, name);
  return shown;
}

async function deleteFunction(engine: Engine, place: Place, name: string): Promise<void> {
  const { store } = engine.platform;
  const retired = await transact(store, async () => {
    const stored = await storedFunction(engine, place, name);
    const versions = await readAll<FunctionVersion>(store, keys.versions(place, name));
    const others = await Promise.all(
      [keys.aliases, keys.policies, keys.invokeConfigs].map((prefix) => readAll(store, prefix(place, name))),
    );
    const urls = await readAll<UrlRecord>(store, keys.urls(place, name));
    const account = await read<AccountRecord>(store, keys.account(place));
    const { [name]: reserved, ...reservedLeft } = account?.record.reserved ?? {};
    const { [name]: provisioned, ...provisionedLeft } = account?.record.provisioned ?? {};
    const claims = reserved !== undefined || provisioned !== undefined;
    const left: AccountRecord = { reserved: reservedLeft, provisioned: provisionedLeft };
    const accountKey = keys.account(place);
    const bytes = [stored.record.latest, ...versions.map(({ record }) => record)].map(({ codeBytes }) => codeBytes);
    const commit: Commit = {
      checks: [unchanged(stored.key, stored), ...(claims ? [unchanged(accountKey, account)] : [])],
      set: claims ? [{ key: accountKey, value: encode(left) }] : [],
      delete: [
        stored.key,
        ...[...versions, ...others.flat(), ...urls].map(({ key }) => key),
        ...urls.map(({ record }) => keys.urlId(record.urlId)),
      ],
      sum: [{ key: keys.codeBytes(place), delta: -bytes.reduce((sum, value) => sum + value, 0) }],
    };
    const environments = [servedLatest(stored.record), stored.record.latest, ...versions.map(({ record }) => record)];
    return { commit, result: environments.map(({ environmentId }) => environmentId) };
  });
  engine.directory.forget(place, name);
  await engine.provisioning.refresh(place, name);
  for (const environmentId of retired) engine.environments.retire(environmentId);
}

async function deleteVersion(engine: Engine, place: Place, name: string, qualifier: string): Promise<void> {
  const { store } = engine.platform;
  const retired = await transact<string | undefined>(store, async () => {
    const stored = await storedFunction(engine, place, name);
    const key = keys.version(place, name, qualifier);
    const version = /^\d+$/.test(qualifier) ? await read<FunctionVersion>(store, key) : undefined;
    if (version === undefined) {
      // Deleting a version that is not there succeeds; an alias cannot be deleted this way.
      if (/^\d+$/.test(qualifier)) return { result: undefined };
      throw functionNotFound(place, name, qualifier);
    }
    await refuseIfAliased(engine, place, name, qualifier);
    const unprovisioned = await withoutProvisioned(engine, place, stored.record, qualifier);
    const commit: Commit = {
      checks: [unchanged(stored.key, stored), unchanged(key, version), ...unprovisioned.checks],
      set: [{ key: stored.key, value: encode(unprovisioned.record) }, ...unprovisioned.set],
      delete: [key, keys.policy(place, name, qualifier), keys.invokeConfig(place, name, qualifier)],
      sum: [{ key: keys.codeBytes(place), delta: -version.record.codeBytes }],
    };
    return { commit, result: version.record.environmentId };
  });
  engine.directory.forget(place, name);
  await engine.provisioning.refresh(place, name);
  if (retired !== undefined) engine.environments.retire(retired);
}

async function refuseIfAliased(engine: Engine, place: Place, name: string, version: string): Promise<void> {
  const aliases = await readAll<{ version: string; name: string; weights?: Record<string, number> }>(
    engine.platform.store,
    keys.aliases(place, name),
  );
  const users = aliases.filter(({ record }) => record.version === version || version in (record.weights ?? {}));
  if (users.length === 0) return;
  const names = users.map(({ record }) => record.name).join(', ');
  throw conflict(`Version ${version} is currently being used by one or more aliases: ${names}`);
}

async function publishedByName(
  engine: Engine,
  place: Place,
  functions: readonly Stored<FunctionRecord>[],
): Promise<ReadonlyMap<string, readonly FunctionVersion[]>> {
  const lists = await Promise.all(
    functions.map(async ({ record: { name } }) => {
      const versions = await readAll<FunctionVersion>(engine.platform.store, keys.versions(place, name));
      return [name, versions.map(({ record }) => record)] as const;
    }),
  );
  return new Map(lists);
}
