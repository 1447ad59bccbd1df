import type { Properties, ResourceContext, ResourceType } from '../../../platform/resource-type.ts';
import { AwsError } from '../../../wire/errors.ts';
import type { EntityKind } from '../state.ts';
import { documentText, ignoreMissing, policyCalls, text, textList } from './common.ts';

/**
 * An inline policy put into roles, users and groups.
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-iam-policy.html
 */
export const policyType: ResourceType = {
  typeName: 'AWS::IAM::Policy',
  properties: ['Groups', 'PolicyDocument', 'PolicyName', 'Roles', 'Users'],
  required: ['PolicyDocument', 'PolicyName'],
  shapes: {
    Groups: ['string'],
    PolicyDocument: 'json',
    PolicyName: 'string',
    Roles: ['string'],
    Users: ['string'],
  },
  attributeNames: [],

  async create(context, properties) {
    const physicalId = context.generatedName({ maxLength: 128 });
    await context.initiated?.(physicalId);
    await put(context, properties);
    return { physicalId, attributes: {} };
  },

  async update(context, physicalId, properties, old) {
    await put(context, properties);
    const sameName = text(properties, 'PolicyName') === text(old, 'PolicyName');
    const kept = new Set(sameName ? entitiesOf(properties).map(({ kind, name }) => `${kind}/${name}`) : []);
    await remove(context, old, (kind, name) => !kept.has(`${kind}/${name}`));
    return { physicalId, attributes: {} };
  },

  async delete(context, _physicalId, properties) {
    await remove(context, properties, () => true);
  },
};

interface EntityName {
  readonly kind: EntityKind;
  readonly name: string;
}

export function entitiesOf(properties: Properties): EntityName[] {
  return [
    ...textList(properties, 'Roles').map((name): EntityName => ({ kind: 'role', name })),
    ...textList(properties, 'Users').map((name): EntityName => ({ kind: 'user', name })),
    ...textList(properties, 'Groups').map((name): EntityName => ({ kind: 'group', name })),
  ];
}

async function put(context: ResourceContext, properties: Properties): Promise<void> {
  const entities = entitiesOf(properties);
  if (entities.length === 0)
    throw new AwsError('ValidationError', 'At least one of [Groups,Roles,Users] must be non-empty.');
  const PolicyName = text(properties, 'PolicyName') ?? '';
  const PolicyDocument = documentText(properties['PolicyDocument']);
  for (const { kind, name } of entities) await policyCalls(context, kind, name).put({ PolicyName, PolicyDocument });
}

async function remove(
  context: ResourceContext,
  properties: Properties,
  wanted: (kind: EntityKind, name: string) => boolean,
): Promise<void> {
  const policyName = text(properties, 'PolicyName') ?? '';
  for (const { kind, name } of entitiesOf(properties))
    if (wanted(kind, name)) await policyCalls(context, kind, name).remove(policyName).catch(ignoreMissing);
}
