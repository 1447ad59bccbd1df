import type { Caller, RequestContext } from '../../../platform/context.ts';
import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import type { GetLayerVersionResponse } from '../../../wire/types/lambda.ts';
import { layerLocation } from '../code-surface.ts';
import type { Engine } from '../engine.ts';
import { lambdaLimits } from '../limits.ts';
import {
  allowsLayer,
  checkLayerCount,
  checkLayerOnce,
  checkLayerRegion,
  checkLayerVersionNumber,
  describeLayerVersion,
  type LayerReference,
  type LayerVersionReference,
  layerArn,
  layerDenied,
  layerMissingForFunction,
  layerStatement,
  layerVersionArn,
  layerVersionMissing,
  layerVersionUnknown,
  matchesFilter,
  parseLayerName,
  parseLayerVersionArn,
} from '../rules/layers.ts';
import { conflict, notFound, revisionMismatch } from '../rules/names.ts';
import { policyText } from '../rules/policy.ts';
import {
  encode,
  type FunctionLayer,
  keys,
  type LayerRecord,
  type LayerVersionRecord,
  type Place,
  type PolicyRecord,
  read,
  readAll,
  unchanged,
} from '../state.ts';
import { transact } from '../transaction.ts';
import { storeLayer } from './code.ts';
import { paged, placeOf } from './support.ts';

type LayerOperations =
  | 'PublishLayerVersion'
  | 'GetLayerVersion'
  | 'GetLayerVersionByArn'
  | 'ListLayers'
  | 'ListLayerVersions'
  | 'DeleteLayerVersion'
  | 'AddLayerVersionPermission'
  | 'RemoveLayerVersionPermission'
  | 'GetLayerVersionPolicy';

/** Wording and order: LocalStack's recorded AWS responses (test_lambda_api.snapshot.json: TestLambdaLayer). */
export function layerOperations(engine: Engine): Pick<Handlers<'lambda'>, LayerOperations> {
  const { store, clock, random } = engine.platform;

  const readVersion = (reference: LayerVersionReference) =>
    read<LayerVersionRecord>(store, keys.layerVersion(reference.place, reference.name, reference.version));

  const shownVersion = async (
    context: RequestContext,
    reference: LayerVersionReference,
  ): Promise<GetLayerVersionResponse> => {
    checkLayerVersionNumber(reference.version);
    const found = await readVersion(reference);
    await checkAccess(engine, context, reference);
    if (found === undefined) throw layerVersionMissing();
    return describe(context, reference.place, found.record);
  };

  return {
    async PublishLayerVersion(context, input) {
      const place = placeOf(context);
      const { name } = ownLayer(input.LayerName, place);
      const code = await storeLayer(engine, context, input.Content);
      const published = await transact(store, async () => {
        const key = keys.layer(place, name);
        const layer = await read<LayerRecord>(store, key);
        const version = layer?.record.nextVersion ?? 1;
        const record: LayerVersionRecord = {
          name,
          version,
          digest: code.digest,
          zippedBytes: code.zippedBytes,
          unzippedBytes: code.unzippedBytes,
          description: input.Description ?? '',
          ...(input.LicenseInfo === undefined ? {} : { licenseInfo: input.LicenseInfo }),
          ...(input.CompatibleRuntimes === undefined ? {} : { runtimes: input.CompatibleRuntimes }),
          ...(input.CompatibleArchitectures === undefined ? {} : { architectures: input.CompatibleArchitectures }),
          createdMs: clock.now(),
        };
        const next: LayerRecord = { name, nextVersion: version + 1 };
        const commit = {
          checks: [unchanged(key, layer)],
          set: [
            { key, value: encode(next) },
            { key: keys.layerVersion(place, name, version), value: encode(record) },
          ],
          sum: [{ key: keys.codeBytes(place), delta: code.zippedBytes }],
        };
        return { commit, result: record };
      });
      return describe(context, place, published);
    },

    GetLayerVersion: (context, input) =>
      shownVersion(context, { ...parseLayerName(input.LayerName, placeOf(context)), version: input.VersionNumber }),

    GetLayerVersionByArn: (context, input) => shownVersion(context, parseLayerVersionArn(input.Arn)),

    async ListLayers(context, input) {
      const place = placeOf(context);
      const layers = await readAll<LayerRecord>(store, keys.layers(place));
      const listed = await Promise.all(
        layers.map(async ({ record: { name } }) => {
          const versions = await readAll<LayerVersionRecord>(store, keys.layerVersions(place, name));
          const latest = versions.findLast(({ record }) => matchesFilter(record, input));
          return latest === undefined
            ? []
            : [
                {
                  LayerName: name,
                  LayerArn: layerArn(place, name),
                  LatestMatchingVersion: describeLayerVersion(place, latest.record),
                },
              ];
        }),
      );
      const { page, next } = paged(listed.flat(), input.Marker, input.MaxItems);
      return { Layers: page, NextMarker: next };
    },

    async ListLayerVersions(context, input) {
      const { place, name } = parseLayerName(input.LayerName, placeOf(context));
      const versions = await readAll<LayerVersionRecord>(store, keys.layerVersions(place, name));
      const own = place.account === context.account;
      const visible = own
        ? versions
        : await Promise.all(
            versions.map(async (stored) => {
              const reference = { place, name, version: stored.record.version };
              return (await mayUse(engine, context, reference)) ? [stored] : [];
            }),
          ).then((lists) => lists.flat());
      const listed = visible
        .filter(({ record }) => matchesFilter(record, input))
        .map(({ record }) => describeLayerVersion(place, record))
        .reverse();
      const { page, next } = paged(listed, input.Marker, input.MaxItems);
      return { LayerVersions: page, NextMarker: next };
    },

    async DeleteLayerVersion(context, input) {
      const { place, name } = ownLayer(input.LayerName, placeOf(context));
      const version = input.VersionNumber;
      checkLayerVersionNumber(version);
      await transact(store, async () => {
        const found = await readVersion({ place, name, version });
        // Deleting what is not there succeeds.
        if (found === undefined) return { result: undefined };
        const commit = {
          checks: [unchanged(found.key, found)],
          delete: [found.key, keys.layerPolicy(place, name, version)],
          sum: [{ key: keys.codeBytes(place), delta: -found.record.zippedBytes }],
        };
        return { commit, result: undefined };
      });
    },

    async AddLayerVersionPermission(context, input) {
      const reference = { ...ownLayer(input.LayerName, placeOf(context)), version: input.VersionNumber };
      const statement = layerStatement(input, layerVersionArn(reference));
      const revisionId = await changePolicy(engine, reference, input.RevisionId, (policy) => {
        const statements = policy?.statements ?? [];
        if (statements.some(({ Sid }) => Sid === statement.Sid))
          throw conflict(
            `The statement id (${statement.Sid}) provided already exists. Please provide a new statement id, or remove the existing statement.`,
          );
        return { revisionId: random.uuid(), statements: [...statements, statement] };
      });
      return { Statement: JSON.stringify(statement), RevisionId: revisionId };
    },

    async RemoveLayerVersionPermission(context, input) {
      const reference = { ...ownLayer(input.LayerName, placeOf(context)), version: input.VersionNumber };
      await changePolicy(engine, reference, input.RevisionId, (policy) => {
        const statements = policy?.statements ?? [];
        const left = statements.filter(({ Sid }) => Sid !== input.StatementId);
        if (left.length === statements.length)
          throw notFound(`Statement ${input.StatementId} is not found in resource policy.`);
        return { revisionId: random.uuid(), statements: left };
      });
    },

    async GetLayerVersionPolicy(context, input) {
      const reference = { ...ownLayer(input.LayerName, placeOf(context)), version: input.VersionNumber };
      if ((await readVersion(reference)) === undefined) throw layerVersionUnknown(reference);
      const policy = await read<PolicyRecord>(
        store,
        keys.layerPolicy(reference.place, reference.name, reference.version),
      );
      if (policy === undefined) throw notFound('No policy is associated with the given resource.');
      return { Policy: policyText(policy.record), RevisionId: policy.record.revisionId };
    },
  };
}

/** The layers that a function names, as they are now: looked up and checked in AWS's order. */
export async function resolveLayers(
  engine: Engine,
  caller: Caller,
  arns: readonly string[],
): Promise<readonly FunctionLayer[]> {
  checkLayerCount(arns);
  const layers: FunctionLayer[] = [];
  for (const [index, arn] of arns.entries()) {
    const reference = parseLayerVersionArn(arn);
    checkLayerRegion(reference, caller);
    await checkAccess(engine, caller, reference);
    const { place, name, version } = reference;
    const found = await read<LayerVersionRecord>(engine.platform.store, keys.layerVersion(place, name, version));
    if (found === undefined) throw layerMissingForFunction(arn);
    checkLayerOnce(arn, arns.slice(0, index));
    const { digest, zippedBytes, unzippedBytes } = found.record;
    layers.push({ arn, digest, zippedBytes, unzippedBytes });
  }
  return layers;
}

/** Refuses somebody of another account whom the version's policy does not let have it, whether or not it is there. */
async function checkAccess(engine: Engine, caller: Caller, reference: LayerVersionReference): Promise<void> {
  if (await mayUse(engine, caller, reference)) return;
  throw layerDenied(caller.principal, layerVersionArn(reference));
}

async function mayUse(engine: Engine, caller: Caller, reference: LayerVersionReference): Promise<boolean> {
  const { place, name, version } = reference;
  if (place.account === caller.account) return true;
  const policy = await read<PolicyRecord>(engine.platform.store, keys.layerPolicy(place, name, version));
  return allowsLayer(policy?.record, caller.principal, layerVersionArn(reference));
}

/** A layer that is changed belongs to who changes it. */
function ownLayer(text: string, place: Place): LayerReference {
  const reference = parseLayerName(text, place);
  if (reference.place.account === place.account && reference.place.region === place.region) return reference;
  throw new AwsError('AccessDeniedException', '', { status: 403 });
}

/** Returns the new revision. A policy whose last statement is taken away goes. */
async function changePolicy(
  engine: Engine,
  reference: LayerVersionReference,
  expectedRevision: string | undefined,
  change: (policy: PolicyRecord | undefined) => PolicyRecord,
): Promise<string> {
  const { store } = engine.platform;
  const { place, name, version } = reference;
  return transact(store, async () => {
    const key = keys.layerVersion(place, name, version);
    const layer = await read<LayerVersionRecord>(store, key);
    if (layer === undefined) throw layerVersionUnknown(reference);
    const policyKey = keys.layerPolicy(place, name, version);
    const policy = await read<PolicyRecord>(store, policyKey);
    if (expectedRevision !== undefined && expectedRevision !== policy?.record.revisionId)
      throw revisionMismatch('GetLayerPolicy');
    const next = change(policy?.record);
    if (Buffer.byteLength(policyText(next)) > lambdaLimits.policyBytes.value)
      throw new AwsError(
        'PolicyLengthExceededException',
        `The final policy size (${Buffer.byteLength(policyText(next))}) is bigger than the limit (${lambdaLimits.policyBytes.value}).`,
        { fields: { Type: 'User' } },
      );
    const checks = [unchanged(key, layer), unchanged(policyKey, policy)];
    const commit =
      next.statements.length === 0
        ? { checks, delete: [policyKey] }
        : { checks, set: [{ key: policyKey, value: encode(next) }] };
    return { commit, result: next.revisionId };
  });
}

function describe(context: RequestContext, place: Place, record: LayerVersionRecord): GetLayerVersionResponse {
  return {
    ...describeLayerVersion(place, record),
    LayerArn: layerArn(place, record.name),
    Content: {
      CodeSha256: Buffer.from(record.digest, 'hex').toString('base64'),
      CodeSize: record.zippedBytes,
      Location: layerLocation(context.origin, place, record),
    },
  };
}
