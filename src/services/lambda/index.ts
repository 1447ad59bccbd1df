import type { Caller, OperationName } from '../../platform/context.ts';
import type { Authorization, Handlers } from '../../platform/service.ts';
import { defineService } from '../../platform/service.ts';
import { AwsError } from '../../wire/errors.ts';
import { codeSurface } from './code-surface.ts';
import { createEngine } from './engine.ts';
import { functionUrlSurface } from './function-urls.ts';
import { inspectFunction } from './inspect.ts';
import { codeSigningOperations } from './operations/code-signing.ts';
import { concurrencyOperations } from './operations/concurrency.ts';
import { functionSettingOperations } from './operations/function-settings.ts';
import { functionOperations } from './operations/functions.ts';
import { invokeOperations } from './operations/invoke.ts';
import { invokeConfigOperations } from './operations/invoke-configs.ts';
import { invokeStreamOperations } from './operations/invoke-stream.ts';
import { layerOperations } from './operations/layers.ts';
import { mappingOperations } from './operations/mappings.ts';
import { permissionOperations } from './operations/permissions.ts';
import { provisionedOperations } from './operations/provisioned.ts';
import { tagOperations } from './operations/tags.ts';
import { urlOperations } from './operations/urls.ts';
import { versionOperations } from './operations/versions.ts';
import { lambdaResourceTypes } from './resources.ts';
import { layerArn, parseLayerName } from './rules/layers.ts';
import { functionArn, mappingArn, parseFunctionName } from './rules/names.ts';
import { steer } from './steering.ts';

/** AWS Lambda: functions of zip packages, run in sandboxes; asynchronous events; event source mappings from SQS. */
export const lambda = defineService({
  name: 'lambda',
  create(platform) {
    const engine = createEngine(platform);
    const operations: Handlers<'lambda'> = {
      ...functionOperations(engine),
      ...versionOperations(engine),
      ...permissionOperations(engine),
      ...tagOperations(engine),
      ...concurrencyOperations(engine),
      ...provisionedOperations(engine),
      ...invokeConfigOperations(engine),
      ...layerOperations(engine),
      ...codeSigningOperations(engine),
      ...functionSettingOperations(engine),
      ...mappingOperations(engine),
      ...invokeOperations(engine),
      ...invokeStreamOperations(engine),
      ...urlOperations(engine),
    };
    return {
      operations,
      authorization,
      resourceTypes: lambdaResourceTypes,
      surfaces: [codeSurface(platform), functionUrlSurface(engine)],
      inspect: (caller, query) => inspectFunction(engine, caller, query),
      steer: (caller, command) => steer(engine, caller, command),
      target: {
        async deliver(delivery) {
          const { principal, account, region, trace } = delivery;
          // A service delivers for its source: that is what the function's policy is asked about.
          const caller: Caller = {
            account,
            region,
            principal: principal.kind === 'service' ? { ...principal, id: delivery.sourceArn } : principal,
            ...(trace === undefined ? {} : { trace }),
          };
          await platform.bus.call(caller, 'lambda', 'Invoke', {
            FunctionName: delivery.targetArn,
            InvocationType: 'Event',
            Payload: Buffer.from(delivery.body, 'utf8'),
          });
        },
      },
      async start() {
        engine.lifecycle.start();
        engine.queue.start();
        await engine.pollers.start();
        engine.provisioning.start();
      },
      async close() {
        await engine.pollers.close();
        await engine.provisioning.close();
        await engine.environments.close();
        await engine.logs.flush();
      },
    };
  },
});

/** What an operation touches: the function that it names, with its qualifier; a mapping, layer or code signing config; else everything. */
function authorization(operation: OperationName<'lambda'>, input: unknown, caller: Caller): Authorization | undefined {
  const { FunctionName, Qualifier, UUID, Resource } = input as {
    FunctionName?: unknown;
    Qualifier?: unknown;
    UUID?: unknown;
    Resource?: unknown;
  };
  const action = invokes.has(operation)
    ? 'lambda:InvokeFunction'
    : operation === 'GetLayerVersionByArn'
      ? 'lambda:GetLayerVersion'
      : undefined;
  const resource =
    resourceOf(FunctionName, Qualifier, UUID, Resource, caller) ?? resourceBesideFunctions(input, caller);
  if (resource === undefined) return undefined;
  return action === undefined ? { resource } : { action, resource };
}

/** Operations that have the same action: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html */
const invokes: ReadonlySet<string> = new Set(['Invoke', 'InvokeAsync', 'InvokeWithResponseStream']);

function resourceOf(
  name: unknown,
  qualifier: unknown,
  uuid: unknown,
  resource: unknown,
  caller: Caller,
): string | undefined {
  if (typeof resource === 'string') return resource;
  if (typeof uuid === 'string') return mappingArn(caller, uuid);
  if (typeof name !== 'string') return undefined;
  try {
    const found = parseFunctionName(name, typeof qualifier === 'string' ? qualifier : undefined, caller);
    return functionArn(caller, found.name, found.qualifier);
  } catch (error) {
    // The operation itself says what is wrong with the name.
    if (error instanceof AwsError) return undefined;
    throw error;
  }
}

function resourceBesideFunctions(input: unknown, caller: Caller): string | undefined {
  const { LayerName, VersionNumber, Arn, CodeSigningConfigArn } = input as {
    LayerName?: unknown;
    VersionNumber?: unknown;
    Arn?: unknown;
    CodeSigningConfigArn?: unknown;
  };
  if (typeof CodeSigningConfigArn === 'string') return CodeSigningConfigArn;
  if (typeof Arn === 'string') return Arn;
  if (typeof LayerName !== 'string') return undefined;
  const { place, name } = parseLayerName(LayerName, caller);
  return `${layerArn(place, name)}${VersionNumber === undefined ? '' : `:${VersionNumber}`}`;
}
