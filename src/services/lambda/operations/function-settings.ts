import type { Handlers } from '../../../platform/service.ts';
import type { AwsError } from '../../../wire/errors.ts';
import type { GetRuntimeManagementConfigResponse } from '../../../wire/types/lambda.ts';
import type { Engine } from '../engine.ts';
import { functionArn, functionNotFound, invalidParameter, isVersionNumber, parseFunctionName } from '../rules/names.ts';
import { type FunctionRecord, keys, type Place, type RuntimeManagementRecord } from '../state.ts';
import { transact } from '../transaction.ts';
import { placeOf, stamped, storedFunction } from './support.ts';

type FunctionSettingOperations =
  | 'GetRuntimeManagementConfig'
  | 'PutRuntimeManagementConfig'
  | 'GetFunctionRecursionConfig'
  | 'PutFunctionRecursionConfig'
  | 'GetFunctionScalingConfig'
  | 'PutFunctionScalingConfig';

/** Settings of a function that are no part of its versions. */
export function functionSettingOperations(engine: Engine): Pick<Handlers<'lambda'>, FunctionSettingOperations> {
  const { store } = engine.platform;

  const change = async (
    place: Place,
    name: string,
    apply: (record: FunctionRecord) => Promise<FunctionRecord> | FunctionRecord,
  ): Promise<void> => {
    await transact(store, async () => {
      const stored = await storedFunction(engine, place, name);
      const { check, set } = stamped(stored, await apply(stored.record));
      return { commit: { checks: [check], set: [set] }, result: undefined };
    });
    engine.directory.forget(place, name);
  };

  /** Versions have runtimes, aliases do not. */
  const checkVersion = async (place: Place, record: FunctionRecord, version: string): Promise<void> => {
    if (record.latest.image !== undefined)
      throw invalidParameter('Runtime management is not supported for functions of PackageType Image.');
    if (version === '$LATEST') return;
    const known = isVersionNumber(version) ? await store.get(keys.version(place, record.name, version)) : undefined;
    if (known === undefined) throw functionNotFound(place, record.name, version);
  };

  return {
    async GetRuntimeManagementConfig(context, input) {
      const place = placeOf(context);
      const { name, qualifier } = parseFunctionName(input.FunctionName, input.Qualifier, place);
      const { record } = await storedFunction(engine, place, name, qualifier);
      const version = qualifier ?? '$LATEST';
      await checkVersion(place, record, version);
      return describeManagement(functionArn(place, name, qualifier), record.runtimeManagement?.[version]);
    },

    async PutRuntimeManagementConfig(context, input) {
      const place = placeOf(context);
      const { name, qualifier } = parseFunctionName(input.FunctionName, input.Qualifier, place);
      const { UpdateRuntimeOn: updateOn, RuntimeVersionArn } = input;
      if ((updateOn === 'Manual') !== Boolean(RuntimeVersionArn)) throw wrongRuntimeVersion(updateOn);
      const version = qualifier ?? '$LATEST';
      const managed: RuntimeManagementRecord | undefined =
        updateOn === 'Auto'
          ? undefined
          : { updateOn, ...(RuntimeVersionArn ? { runtimeVersionArn: RuntimeVersionArn } : {}) };
      await change(place, name, async (record) => {
        await checkVersion(place, record, version);
        const { [version]: _, ...others } = record.runtimeManagement ?? {};
        return { ...record, runtimeManagement: managed === undefined ? others : { ...others, [version]: managed } };
      });
      const shown = describeManagement(functionArn(place, name, qualifier), managed);
      return { ...shown, UpdateRuntimeOn: updateOn, FunctionArn: functionArn(place, name, qualifier) };
    },

    async GetFunctionRecursionConfig(context, input) {
      const place = placeOf(context);
      const { name } = parseFunctionName(input.FunctionName, undefined, place);
      const { record } = await storedFunction(engine, place, name);
      return { RecursiveLoop: record.recursiveLoop ?? 'Terminate' };
    },

    async PutFunctionRecursionConfig(context, input) {
      const place = placeOf(context);
      const { name } = parseFunctionName(input.FunctionName, undefined, place);
      await change(place, name, ({ recursiveLoop: _, ...record }) =>
        input.RecursiveLoop === 'Allow' ? { ...record, recursiveLoop: 'Allow' } : record,
      );
      return { RecursiveLoop: input.RecursiveLoop };
    },

    async GetFunctionScalingConfig(context, input) {
      return refuseScaling(engine, placeOf(context), input.FunctionName);
    },

    async PutFunctionScalingConfig(context, input) {
      return refuseScaling(engine, placeOf(context), input.FunctionName);
    },
  };
}

function describeManagement(
  FunctionArn: string,
  managed: RuntimeManagementRecord | undefined,
): GetRuntimeManagementConfigResponse {
  return {
    UpdateRuntimeOn: managed?.updateOn ?? 'Auto',
    RuntimeVersionArn: managed?.runtimeVersionArn,
    FunctionArn,
  };
}

/** In words of our own. */
function wrongRuntimeVersion(updateOn: string): AwsError {
  return invalidParameter(
    updateOn === 'Manual'
      ? 'RuntimeVersionArn is required when UpdateRuntimeOn is Manual.'
      : `RuntimeVersionArn must not be provided when UpdateRuntimeOn is ${updateOn}.`,
  );
}

/** Only functions of a capacity provider scale by configuration, and none has one here. In words of our own. */
async function refuseScaling(engine: Engine, place: Place, text: string): Promise<never> {
  const { name } = parseFunctionName(text, undefined, place);
  await storedFunction(engine, place, name);
  throw invalidParameter(
    'FunctionScalingConfig is only supported for functions that are configured with a capacity provider.',
  );
}
