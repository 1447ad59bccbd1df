import type { ResourceDeclaration } from '../../../deploy/template.ts';
import { AwsError } from '../../../wire/errors.ts';

/** IAM resources by the property that names them. https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html */
const iamTypes: ReadonlyMap<string, string | undefined> = new Map([
  ['AWS::IAM::AccessKey', undefined],
  ['AWS::IAM::Group', 'GroupName'],
  ['AWS::IAM::InstanceProfile', 'InstanceProfileName'],
  ['AWS::IAM::ManagedPolicy', 'ManagedPolicyName'],
  ['AWS::IAM::Policy', undefined],
  ['AWS::IAM::Role', 'RoleName'],
  ['AWS::IAM::User', 'UserName'],
  ['AWS::IAM::UserToGroupAddition', undefined],
]);

export type Capability = 'CAPABILITY_IAM' | 'CAPABILITY_NAMED_IAM' | 'CAPABILITY_AUTO_EXPAND';

export interface NeededCapabilities {
  readonly capabilities: readonly Capability[];
  /** AWS's words in ValidateTemplate and GetTemplateSummary. */
  readonly reason: string | undefined;
}

export interface DeclaredResources {
  readonly resources: ReadonlyMap<string, Pick<ResourceDeclaration, 'type' | 'properties'>>;
}

/** What a template's IAM resources ask for: names of their own ask for CAPABILITY_NAMED_IAM, others for either. */
export function neededCapabilities(template: DeclaredResources): NeededCapabilities {
  const iam = [...template.resources.values()].filter((resource) => iamTypes.has(resource.type));
  if (iam.length === 0) return { capabilities: [], reason: undefined };
  const named = iam.some((resource) => {
    const property = iamTypes.get(resource.type);
    return property !== undefined && resource.properties[property] !== undefined;
  });
  const types = [...new Set(iam.map((resource) => resource.type))];
  return {
    capabilities: [named ? 'CAPABILITY_NAMED_IAM' : 'CAPABILITY_IAM'],
    reason: `The following resource(s) require capabilities: [${types.join(', ')}]`,
  };
}

/**
 * @param given what the caller acknowledged; CAPABILITY_NAMED_IAM covers CAPABILITY_IAM.
 * @throws InsufficientCapabilitiesException "Requires capabilities : [CAPABILITY_IAM]"
 */
export function checkCapabilities(needed: readonly Capability[], given: readonly string[]): void {
  const missing = needed.filter(
    (capability) =>
      !given.includes(capability) && !(capability === 'CAPABILITY_IAM' && given.includes('CAPABILITY_NAMED_IAM')),
  );
  if (missing.length > 0) {
    throw new AwsError('InsufficientCapabilitiesException', `Requires capabilities : [${missing.join(', ')}]`);
  }
}
