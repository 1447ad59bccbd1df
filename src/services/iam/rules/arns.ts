import { parseArn } from '../../../platform/arn.ts';
import { AwsError } from '../../../wire/errors.ts';
import type { EntityKind } from '../state.ts';

export function entityArn(kind: EntityKind | 'policy', account: string, path: string, name: string): string {
  return `arn:aws:iam::${account}:${kind}${path}${name}`;
}

export interface PolicyArn {
  /** 'aws' for AWS's own policies. */
  readonly account: string;
  readonly path: string;
  readonly name: string;
}

/** LocalStack's recorded answer for text that is no ARN (test_role_attach_policy, 2025-06-19). */
export function parsePolicyArn(text: string): PolicyArn {
  const arn = parseArn(text);
  const match = /^policy(\/(?:.*\/)?)([^/]+)$/.exec(arn?.resource ?? '');
  if (arn === undefined || match === null || arn.service !== 'iam')
    throw new AwsError('ValidationError', 'Invalid ARN:  Could not be parsed!');
  return { account: arn.account, path: match[1]!, name: match[2]! };
}

/** The account, path and name of `arn:aws:iam::…:role/path/name`; undefined for other text. */
export function parseRoleArn(text: string): { account: string; path: string; name: string } | undefined {
  const arn = parseArn(text);
  const match = /^role(\/(?:.*\/)?)([^/]+)$/.exec(arn?.resource ?? '');
  if (arn === undefined || match === null || arn.service !== 'iam') return undefined;
  return { account: arn.account, path: match[1]!, name: match[2]! };
}
