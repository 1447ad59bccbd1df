import { AwsError } from '../../../wire/errors.ts';
import { invalidValue, missingParameter } from '../errors.ts';

interface Statement {
  readonly Sid?: string;
  readonly [name: string]: unknown;
}

interface Policy {
  readonly Version?: string;
  readonly Id?: string;
  readonly Statement?: readonly Statement[];
}

/** Actions that a permission may name; the rest is the owner's alone. */
const grantable = new Set([
  '*',
  'ChangeMessageVisibility',
  'DeleteMessage',
  'GetQueueAttributes',
  'GetQueueUrl',
  'ListDeadLetterSourceQueues',
  'PurgeQueue',
  'ReceiveMessage',
  'SendMessage',
]);

const ownersOnly = new Set([
  'AddPermission',
  'CreateQueue',
  'DeleteQueue',
  'ListQueues',
  'ListQueueTags',
  'RemovePermission',
  'SetQueueAttributes',
  'TagQueue',
  'UntagQueue',
  'StartMessageMoveTask',
  'CancelMessageMoveTask',
  'ListMessageMoveTasks',
]);

/**
 * The policy with one more statement; its shape is that of LocalStack's snapshots of AWS, the refusals' words those of its
 * provider and of moto.
 */
export function policyWith(
  policy: string | undefined,
  permission: {
    readonly label: string;
    readonly accounts: readonly string[];
    readonly actions: readonly string[];
    readonly queueArn: string;
    readonly partition: string;
  },
  mostActions: number,
): string {
  const { label, accounts, actions, queueArn, partition } = permission;
  if (!/^[A-Za-z0-9_-]{1,80}$/.test(label)) {
    const reason = 'Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length.';
    throw invalidValue(label, 'Label', reason);
  }
  if (actions.length === 0) throw missingParameter('Actions');
  if (actions.length > mostActions) {
    throw new AwsError('OverLimit', `${actions.length} Actions were found, maximum allowed is ${mostActions}.`);
  }
  if (accounts.length === 0) throw invalidValue('[]', 'PrincipalId', 'Unable to verify.');
  const stranger = accounts.find((account) => !/^\d{12}$/.test(account));
  if (stranger !== undefined) throw invalidValue(`[${stranger}]`, 'PrincipalId', 'Unable to verify.');
  for (const action of actions) {
    if (ownersOnly.has(action)) {
      const reason = 'Only the queue owner is allowed to invoke this action.';
      throw invalidValue(`SQS:${action}`, 'ActionName', reason);
    }
    if (!grantable.has(action)) {
      const reason = 'Please refer to the appropriate WSDL for a list of valid actions. ';
      throw invalidValue(`SQS:${action}`, 'ActionName', reason);
    }
  }
  const before = readPolicy(policy, queueArn);
  const statements = before.Statement ?? [];
  if (statements.some(({ Sid }) => Sid === label)) throw invalidValue(label, 'Label', 'Already exists.');
  const principals = accounts.map((account) => `arn:${partition}:iam::${account}:root`);
  const names = actions.map((action) => `SQS:${action}`);
  const statement = {
    Sid: label,
    Effect: 'Allow',
    Principal: { AWS: principals.length === 1 ? principals[0] : principals },
    Action: names.length === 1 ? names[0] : names,
    Resource: queueArn,
  };
  return JSON.stringify({ ...before, Statement: [...statements, statement] });
}

/** The policy without the statement of that label; undefined when none is left. */
export function policyWithout(policy: string | undefined, label: string, queueArn: string): string | undefined {
  const before = readPolicy(policy, queueArn);
  const statements = before.Statement ?? [];
  const rest = statements.filter(({ Sid }) => Sid !== label);
  if (rest.length === statements.length) throw invalidValue(label, 'Label', "can't find label.");
  return rest.length === 0 ? undefined : JSON.stringify({ ...before, Statement: rest });
}

function readPolicy(policy: string | undefined, queueArn: string): Policy {
  if (policy === undefined) return { Version: '2008-10-17', Id: `${queueArn}/SQSDefaultPolicy`, Statement: [] };
  const parsed = JSON.parse(policy) as Policy;
  // A policy may hold one statement that is not in a list.
  const statement: unknown = parsed.Statement;
  return Array.isArray(statement) || statement === undefined
    ? parsed
    : { ...parsed, Statement: [statement as Statement] };
}
