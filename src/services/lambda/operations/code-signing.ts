import type { Handlers } from '../../../platform/service.ts';
import type { Engine } from '../engine.ts';
import {
  codeSigningArn,
  codeSigningId,
  codeSigningMissing,
  codeSigningUnknown,
  describeCodeSigning,
  refuseUnsigned,
} from '../rules/code-signing.ts';
import { conflict, functionArn, invalidParameter, parseFunctionName } from '../rules/names.ts';
import {
  type CodeSigningRecord,
  encode,
  type FunctionRecord,
  keys,
  type Place,
  read,
  readAll,
  type Stored,
  unchanged,
} from '../state.ts';
import { transact } from '../transaction.ts';
import { paged, placeOf, stamped, storedFunction, unqualifiedName } from './support.ts';
import { checkTags } from './tags.ts';

type CodeSigningOperations =
  | 'CreateCodeSigningConfig'
  | 'GetCodeSigningConfig'
  | 'UpdateCodeSigningConfig'
  | 'DeleteCodeSigningConfig'
  | 'ListCodeSigningConfigs'
  | 'PutFunctionCodeSigningConfig'
  | 'GetFunctionCodeSigningConfig'
  | 'DeleteFunctionCodeSigningConfig'
  | 'ListFunctionsByCodeSigningConfig';

/** Configurations are kept and named by functions; there are no signatures here to verify. */
export function codeSigningOperations(engine: Engine): Pick<Handlers<'lambda'>, CodeSigningOperations> {
  const { store, clock, random } = engine.platform;

  const stored = async (place: Place, arn: string): Promise<Stored<CodeSigningRecord>> => {
    const found = await readConfig(engine, place, arn);
    if (found === undefined) throw codeSigningMissing(arn);
    return found;
  };

  const attach = async (place: Place, name: string, arn: string | undefined): Promise<void> => {
    await transact(store, async () => {
      const found = await storedFunction(engine, place, name);
      if (arn !== undefined && found.record.latest.image !== undefined) throw notForImages();
      const { codeSigningConfigArn: _, ...rest } = found.record;
      const next: FunctionRecord = arn === undefined ? rest : { ...rest, codeSigningConfigArn: arn };
      const { check, set } = stamped(found, next);
      return { commit: { checks: [check], set: [set] }, result: undefined };
    });
    engine.directory.forget(place, name);
  };

  return {
    async CreateCodeSigningConfig(context, input) {
      const place = placeOf(context);
      checkTags(input.Tags ?? {});
      const record: CodeSigningRecord = {
        id: `csc-${random.hex(17)}`,
        description: input.Description ?? '',
        publishers: input.AllowedPublishers.SigningProfileVersionArns,
        policy: input.CodeSigningPolicies?.UntrustedArtifactOnDeployment ?? 'Warn',
        tags: input.Tags ?? {},
        lastModifiedMs: clock.now(),
      };
      await store.commit({ set: [{ key: keys.codeSigning(place, record.id), value: encode(record) }] });
      return { CodeSigningConfig: describeCodeSigning(place, record) };
    },

    async GetCodeSigningConfig(context, input) {
      const place = placeOf(context);
      const { record } = await stored(place, input.CodeSigningConfigArn);
      return { CodeSigningConfig: describeCodeSigning(place, record) };
    },

    async UpdateCodeSigningConfig(context, input) {
      const place = placeOf(context);
      const record = await transact(store, async () => {
        const found = await stored(place, input.CodeSigningConfigArn);
        const next: CodeSigningRecord = {
          ...found.record,
          description: input.Description ?? found.record.description,
          publishers: input.AllowedPublishers?.SigningProfileVersionArns ?? found.record.publishers,
          policy: input.CodeSigningPolicies?.UntrustedArtifactOnDeployment ?? found.record.policy,
          lastModifiedMs: clock.now(),
        };
        const set = [{ key: found.key, value: encode(next) }];
        return { commit: { checks: [unchanged(found.key, found)], set }, result: next };
      });
      return { CodeSigningConfig: describeCodeSigning(place, record) };
    },

    async DeleteCodeSigningConfig(context, input) {
      const place = placeOf(context);
      await transact(store, async () => {
        const found = await stored(place, input.CodeSigningConfigArn);
        // In words of our own: AWS documents the refusal without its text.
        if ((await functionsOf(engine, place, input.CodeSigningConfigArn)).length > 0)
          throw conflict('The code signing configuration is in use by functions. Remove it from them first.');
        return { commit: { checks: [unchanged(found.key, found)], delete: [found.key] }, result: undefined };
      });
      return {};
    },

    async ListCodeSigningConfigs(context, input) {
      const place = placeOf(context);
      const configs = await readAll<CodeSigningRecord>(store, keys.codeSignings(place));
      const { page, next } = paged(configs, input.Marker, input.MaxItems);
      return { CodeSigningConfigs: page.map(({ record }) => describeCodeSigning(place, record)), NextMarker: next };
    },

    async PutFunctionCodeSigningConfig(context, input) {
      const place = placeOf(context);
      const { CodeSigningConfigArn } = input;
      if ((await readConfig(engine, place, CodeSigningConfigArn)) === undefined)
        throw codeSigningUnknown(CodeSigningConfigArn);
      const name = unqualifiedName(input.FunctionName, place);
      await attach(place, name, CodeSigningConfigArn);
      return { CodeSigningConfigArn, FunctionName: name };
    },

    async GetFunctionCodeSigningConfig(context, input) {
      const place = placeOf(context);
      const { name } = parseFunctionName(input.FunctionName, undefined, place);
      const { codeSigningConfigArn } = (await storedFunction(engine, place, name)).record;
      if (codeSigningConfigArn === undefined) return {} as { CodeSigningConfigArn: string; FunctionName: string };
      return { CodeSigningConfigArn: codeSigningConfigArn, FunctionName: name };
    },

    async DeleteFunctionCodeSigningConfig(context, input) {
      const place = placeOf(context);
      await attach(place, unqualifiedName(input.FunctionName, place), undefined);
    },

    async ListFunctionsByCodeSigningConfig(context, input) {
      const place = placeOf(context);
      await stored(place, input.CodeSigningConfigArn);
      const names = await functionsOf(engine, place, input.CodeSigningConfigArn);
      const { page, next } = paged(names, input.Marker, input.MaxItems);
      return { FunctionArns: page.map((name) => functionArn(place, name)), NextMarker: next };
    },
  };
}

/** Refuses to deploy code or layers to a function whose configuration enforces signatures; its own words for images. */
export async function checkSigning(
  engine: Engine,
  place: Place,
  arn: string | undefined,
  image: boolean,
): Promise<void> {
  if (!arn) return;
  if (image) throw notForImages();
  const config = await readConfig(engine, place, arn);
  if (config === undefined) throw codeSigningUnknown(arn);
  refuseUnsigned(config.record);
}

function notForImages(): Error {
  return invalidParameter('Code signing is not supported for functions of PackageType Image.');
}

async function readConfig(engine: Engine, place: Place, arn: string): Promise<Stored<CodeSigningRecord> | undefined> {
  const id = codeSigningId(arn);
  const found = await read<CodeSigningRecord>(engine.platform.store, keys.codeSigning(place, id));
  return arn === codeSigningArn(place, id) ? found : undefined;
}

async function functionsOf(engine: Engine, place: Place, arn: string): Promise<readonly string[]> {
  const functions = await readAll<FunctionRecord>(engine.platform.store, keys.functions(place));
  return functions.filter(({ record }) => record.codeSigningConfigArn === arn).map(({ record }) => record.name);
}
