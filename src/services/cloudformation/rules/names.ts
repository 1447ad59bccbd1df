import { formatArn, parseArn } from '../../../platform/arn.ts';
import { limits } from '../limits.ts';
import { invalid } from './errors.ts';

/** Where a stack lives. */
export interface Place {
  readonly account: string;
  readonly region: string;
}

/** Texts: LocalStack's recording of test_cloudformation_stack_name_creation. @throws ValidationError */
export function checkStackName(name: string): void {
  const refuse = (constraint: string): never => {
    throw invalid(
      `1 validation error detected: Value '${name}' at 'stackName' failed to satisfy constraint: ${constraint}`,
    );
  };
  if (!/^[a-zA-Z][-a-zA-Z0-9]*$/.test(name))
    refuse('Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*|arn:[-a-zA-Z0-9:/._+]*');
  if (name.length > limits.stackNameLength)
    refuse(`Member must have length less than or equal to ${limits.stackNameLength}`);
}

export function stackArn({ account, region }: Place, name: string, id: string): string {
  return formatArn({ service: 'cloudformation', region, account, resource: `stack/${name}/${id}` });
}

export function changeSetArn({ account, region }: Place, name: string, id: string): string {
  return formatArn({ service: 'cloudformation', region, account, resource: `changeSet/${name}/${id}` });
}

/** The id in a stack's ARN of this account and region; undefined for a name or another's ARN. */
export function idInStackArn(text: string, place: Place): string | undefined {
  return idIn(text, place, 'stack');
}

export function idInChangeSetArn(text: string, place: Place): string | undefined {
  return idIn(text, place, 'changeSet');
}

export function isArn(text: string): boolean {
  return text.startsWith('arn:');
}

function idIn(text: string, { account, region }: Place, kind: string): string | undefined {
  const arn = parseArn(text);
  if (arn?.service !== 'cloudformation' || arn.account !== account || arn.region !== region) return undefined;
  const [type, , id] = arn.resource.split('/');
  return type === kind ? id : undefined;
}
