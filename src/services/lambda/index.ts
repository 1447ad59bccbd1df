import type { Caller, OperationName } from '../../platform/context.ts';
import type { Authorization, Handlers } from '../../platform/service.ts';
import { defineService } from '../../platform/service.ts';
import { AwsError } from '../../wire/errors.ts';
import { codeSurface } from './code-surface.ts';
import { createEngine } from './engine.ts';
import { concurrencyOperations } from './operations/concurrency.ts';
import { functionOperations } from './operations/functions.ts';
import { invokeOperations } from './operations/invoke.ts';
import { invokeConfigOperations } from './operations/invoke-configs.ts';
import { mappingOperations } from './operations/mappings.ts';
import { permissionOperations } from './operations/permissions.ts';
import { tagOperations } from './operations/tags.ts';
import { versionOperations } from './operations/versions.ts';
import { lambdaResourceTypes } from './resources.ts';
import { functionArn, mappingArn, parseFunctionName } from './rules/names.ts';

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
      ...invokeConfigOperations(engine),
      ...mappingOperations(engine),
      ...invokeOperations(engine),
    };
    return {
      operations,
      authorization,
      resourceTypes: lambdaResourceTypes,
      surfaces: [codeSurface(platform)],
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
      },
      async close() {
        await engine.pollers.close();
        await engine.environments.close();
        await engine.logs.flush();
      },
    };
  },
});

/** What an operation touches: the function that it names, with its qualifier; a mapping; else everything. */
function authorization(operation: OperationName<'lambda'>, input: unknown, caller: Caller): Authorization | undefined {
  const { FunctionName, Qualifier, UUID, Resource } = input as {
    FunctionName?: unknown;
    Qualifier?: unknown;
    UUID?: unknown;
    Resource?: unknown;
  };
  const action = operation === 'Invoke' || operation === 'InvokeAsync' ? 'lambda:InvokeFunction' : undefined;
  const resource = resourceOf(FunctionName, Qualifier, UUID, Resource, caller);
  if (resource === undefined) return undefined;
  return action === undefined ? { resource } : { action, resource };
}

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
