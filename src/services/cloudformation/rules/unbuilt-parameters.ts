import { AwsError } from '../../../wire/errors.ts';

/** Parameters that AWS has and this service does not act on: a request that gives one is refused, never half obeyed. */
const unbuilt = {
  StackPolicyBody: isGiven,
  StackPolicyURL: isGiven,
  StackPolicyDuringUpdateBody: isGiven,
  StackPolicyDuringUpdateURL: isGiven,
  NotificationARNs: isFilled,
  RollbackConfiguration: (value: unknown) =>
    isFilled((value as { RollbackTriggers?: unknown } | undefined)?.RollbackTriggers),
  ResourceTypes: isFilled,
  ResourcesToImport: isFilled,
  ImportExistingResources: (value: unknown) => value === true,
  IncludeNestedStacks: (value: unknown) => value === true,
  DeploymentMode: isGiven,
  DeletionMode: (value: unknown) => isGiven(value) && value !== 'STANDARD',
  RetainResourcesOnDelete: isFilled,
} as const;

/** @throws NotImplemented (501) naming the parameter. */
export function refuseUnbuilt(operation: string, input: object): void {
  for (const [name, given] of Object.entries(unbuilt)) {
    if (!given((input as Record<string, unknown>)[name])) continue;
    const message = `The parameter ${name} of ${operation} is not built in Unkai. See the fidelity table in src/services/cloudformation/README.md.`;
    throw new AwsError('NotImplemented', message, { status: 501, fault: 'Receiver' });
  }
}

function isGiven(value: unknown): boolean {
  return value !== undefined;
}

function isFilled(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0;
}
