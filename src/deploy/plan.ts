import type { ResourceType } from '../platform/resource-type.ts';
import type { LiveResource } from './contract.ts';
import { diffProperties } from './diff.ts';
import { TemplateError } from './errors.ts';
import { dependencyGraph, waves } from './graph.ts';
import { Evaluator, knownAfterApply, type Scope } from './intrinsics.ts';
import type { JsonObject } from './json.ts';
import { referencesIn } from './references.ts';
import type { DeletionPolicy, ResourceDeclaration, Template } from './template.ts';

/** One line of a change set. */
export interface Change {
  readonly action: 'Add' | 'Modify' | 'Remove';
  readonly logicalId: string;
  readonly type: string;
  /** Empty for an Add. */
  readonly physicalId: string;
  /** `Conditional`: a property that needs replacement takes a value that is only known once another resource is made. */
  readonly replacement: 'True' | 'False' | 'Conditional' | undefined;
  readonly changedProperties: readonly string[];
  readonly replacingProperties: readonly string[];
  /** What becomes of the old physical resource at a Remove or a replacement. */
  readonly policy: DeletionPolicy | undefined;
  readonly before: JsonObject | undefined;
  /** With `{{changeSet:KNOWN_AFTER_APPLY}}` where a value is not known yet. */
  readonly after: JsonObject | undefined;
}

export type ResourceTypes = (typeName: string) => ResourceType | undefined;

/**
 * What an update would do, without doing it: in the order in which it would be done, removals last.
 *
 * @param scope the new template with its parameters; its `resource` is not asked.
 * @param previous the stack's resources now; empty for a new stack.
 * @throws {TemplateError} for a type that is not known, a changed type, a wrong reference, a cycle.
 */
export function planChanges(
  scope: Omit<Scope, 'resource'>,
  previous: readonly LiveResource[],
  types: ResourceTypes,
): readonly Change[] {
  checkTypes(scope.template, previous, types);
  const old = new Map(previous.map((resource) => [resource.logicalId, resource]));
  const fresh = new Set<string>();
  const evaluator: Evaluator = new Evaluator({
    ...scope,
    resource: (logicalId) => {
      const known = old.get(logicalId);
      if (known && !fresh.has(logicalId)) return { ref: known.physicalId, attributes: known.attributes };
      return fresh.has(logicalId) ? { ref: knownAfterApply, attributes: {} } : undefined;
    },
  });
  const graph = dependencyGraph(scope.template, (condition) => evaluator.condition(condition));
  const changes: Change[] = [];
  for (const logicalId of waves(graph).flat()) {
    const declaration = scope.template.resources.get(logicalId) as ResourceDeclaration;
    const type = types(declaration.type) as ResourceType;
    const after = evaluator.object(declaration.properties);
    const before = old.get(logicalId);
    if (!before) {
      fresh.add(logicalId);
      changes.push(added(logicalId, declaration.type, after));
      continue;
    }
    const { changed, needReplacement } = diffProperties(type, before.properties, after);
    if (changed.length === 0) continue;
    const unknown = needReplacement.every((path) =>
      JSON.stringify(after[path.split('.')[0] as string])?.includes(knownAfterApply),
    );
    if (needReplacement.length > 0) fresh.add(logicalId);
    changes.push({
      action: 'Modify',
      logicalId,
      type: declaration.type,
      physicalId: before.physicalId,
      replacement: needReplacement.length === 0 ? 'False' : unknown ? 'Conditional' : 'True',
      changedProperties: changed,
      replacingProperties: needReplacement,
      policy: needReplacement.length > 0 ? updateReplacePolicyOf(declaration, type) : undefined,
      before: before.properties,
      after,
    });
  }
  const removed = previous.filter((resource) => !graph.has(resource.logicalId));
  return [...changes, ...removed.map(removal)];
}

/** @throws {TemplateError} unless every resource has a known type that did not change, and a policy its type can keep. */
export function checkTypes(template: Template, previous: readonly LiveResource[], types: ResourceTypes): void {
  const unknown = [...new Set([...template.resources.values()].map((r) => r.type).filter((name) => !types(name)))];
  if (unknown.length > 0) {
    // Text: https://github.com/ministackorg/ministack/pull/1648
    throw new TemplateError(`Template format error: Unrecognized resource types: [${unknown.join(', ')}]`);
  }
  const retyped = previous.filter((resource) => {
    const declared = template.resources.get(resource.logicalId);
    return declared !== undefined && declared.type !== resource.type;
  });
  if (retyped.length > 0) {
    throw new TemplateError(
      `Update of resource type is not permitted. The new template modifies resource type of the following resources: ` +
        `[${retyped.map((resource) => resource.logicalId).join(', ')}]`,
    );
  }
  for (const resource of template.resources.values()) {
    const wantsSnapshot = resource.deletionPolicy === 'Snapshot' || resource.updateReplacePolicy === 'Snapshot';
    if (wantsSnapshot && !types(resource.type)?.snapshot) {
      throw new TemplateError(
        `Template error: resource type ${resource.type} does not support deletion policy Snapshot`,
      );
    }
  }
}

/** @throws {TemplateError} for an Fn::GetAtt of an attribute that the type does not have (text: moto, cloudformation/exceptions.py). */
export function checkAttributes(template: Template, types: ResourceTypes): void {
  const expressions = [
    ...[...template.resources.values()].map((resource) => resource.properties),
    ...[...template.outputs.values()].map((output) => output.value),
  ];
  for (const { name, attribute } of expressions.flatMap((expression) => referencesIn(expression).attributes)) {
    const known = types(template.resources.get(name)?.type ?? '')?.attributeNames;
    if (known === undefined || known.includes(attribute)) continue;
    throw new TemplateError(
      `Template error: resource ${name} does not support attribute type ${attribute} in Fn::GetAtt`,
    );
  }
}

export function deletionPolicyOf(declaration: ResourceDeclaration, type: ResourceType): DeletionPolicy {
  return declaration.deletionPolicy ?? type.defaultDeletionPolicy ?? 'Delete';
}

export function updateReplacePolicyOf(declaration: ResourceDeclaration, type: ResourceType): DeletionPolicy {
  return declaration.updateReplacePolicy ?? type.defaultDeletionPolicy ?? 'Delete';
}

function added(logicalId: string, type: string, after: JsonObject): Change {
  return {
    action: 'Add',
    logicalId,
    type,
    physicalId: '',
    replacement: undefined,
    changedProperties: [],
    replacingProperties: [],
    policy: undefined,
    before: undefined,
    after,
  };
}

function removal(resource: LiveResource): Change {
  return {
    action: 'Remove',
    logicalId: resource.logicalId,
    type: resource.type,
    physicalId: resource.physicalId,
    replacement: undefined,
    changedProperties: [],
    replacingProperties: [],
    policy: resource.deletionPolicy,
    before: resource.properties,
    after: undefined,
  };
}
