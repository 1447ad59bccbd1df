import type { LiveResource } from '../../deploy/contract.ts';
import { outputsOf } from '../../deploy/engine-report.ts';
import { Evaluator, type Scope } from '../../deploy/intrinsics.ts';
import { canonicalJson, type Json } from '../../deploy/json.ts';
import { type Change, planChanges } from '../../deploy/plan.ts';
import type { Environment } from './environment.ts';
import { judged } from './rules/errors.ts';
import type { StackRecord } from './state.ts';
import { availabilityZones, exportsOf, type PreparedSetup, pseudoOf, typesOf } from './templates.ts';

export interface UpdatePlan {
  readonly changes: readonly Change[];
  /** False: AWS says that there is nothing to do. */
  readonly changesAnything: boolean;
}

/**
 * What an operation would do to a stack. Besides resources, outputs and tags count as changes; descriptions, metadata and
 * policies alone do not (DeletionPolicy's page of the User Guide: "you can't update this attribute by itself").
 *
 * @throws ValidationError for expressions that cannot be evaluated.
 */
export async function planUpdate(
  env: Environment,
  stack: StackRecord,
  { prepared, setup }: PreparedSetup,
  live: readonly LiveResource[],
): Promise<UpdatePlan> {
  const scope: Omit<Scope, 'resource'> = {
    template: prepared.template,
    pseudo: pseudoOf(stack, stack, setup.notificationArns),
    parameters: prepared.parameters,
    exports: await exportsOf(env, stack),
    availabilityZones,
  };
  const changes = await judged(() => planChanges(scope, live, typesOf(env)));
  const changesAnything =
    changes.length > 0 ||
    live.some((resource) => resource.status.endsWith('_FAILED')) ||
    !same(setup.tags, stack.setup.tags) ||
    !same(setup.notificationArns, stack.setup.notificationArns) ||
    outputsChange(scope, live, stack);
  return { changes, changesAnything };
}

function outputsChange(scope: Omit<Scope, 'resource'>, live: readonly LiveResource[], stack: StackRecord): boolean {
  const byId = new Map(live.map((resource) => [resource.logicalId, resource]));
  const evaluator = new Evaluator({
    ...scope,
    resource: (logicalId) => {
      const found = byId.get(logicalId);
      return found && { ref: found.physicalId, attributes: found.attributes };
    },
  });
  const outputs = outputsOf(scope.template, evaluator);
  // What is wrong with them is the operation's to tell.
  return typeof outputs === 'string' || !same(outputs, stack.outputs);
}

function same(left: unknown, right: unknown): boolean {
  return (
    canonicalJson(JSON.parse(JSON.stringify(left)) as Json) === canonicalJson(JSON.parse(JSON.stringify(right)) as Json)
  );
}
