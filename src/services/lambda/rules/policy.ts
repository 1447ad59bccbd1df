import type { Principal } from '../../../platform/context.ts';
import { evaluateResource, policyOf } from '../../../platform/policy.ts';
import type { AddPermissionRequest } from '../../../wire/types/lambda.ts';
import type { PolicyRecord, PolicyStatement } from '../state.ts';
import { invalidParameter } from './names.ts';

/**
 * The statement that AddPermission adds. Shape and wording: LocalStack's recorded AWS responses (test_add_lambda_permission_fields,
 * test_permission_exceptions).
 */
export function statementOf(input: AddPermissionRequest, resource: string): PolicyStatement {
  // Reported of AWS in public: RJPearson94/terraform-aws-open-next issue 73.
  if (input.FunctionUrlAuthType !== undefined && input.Action !== 'lambda:InvokeFunctionUrl')
    throw invalidParameter('FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action');
  const equals: Record<string, string> = {};
  if (input.SourceAccount !== undefined) equals['AWS:SourceAccount'] = input.SourceAccount;
  if (input.FunctionUrlAuthType !== undefined) equals['lambda:FunctionUrlAuthType'] = input.FunctionUrlAuthType;
  if (input.EventSourceToken !== undefined) equals['lambda:EventSourceToken'] = input.EventSourceToken;
  if (input.PrincipalOrgID !== undefined) equals['aws:PrincipalOrgID'] = input.PrincipalOrgID;
  const condition = {
    ...(Object.keys(equals).length > 0 ? { StringEquals: equals } : {}),
    ...(input.SourceArn === undefined ? {} : { ArnLike: { 'AWS:SourceArn': input.SourceArn } }),
    ...(input.InvokedViaFunctionUrl === undefined
      ? {}
      : { Bool: { 'lambda:InvokedViaFunctionUrl': String(input.InvokedViaFunctionUrl) } }),
  };
  return {
    Sid: input.StatementId,
    Effect: 'Allow',
    Principal: principalOf(input.Principal),
    Action: input.Action,
    Resource: resource,
    ...(Object.keys(condition).length > 0 ? { Condition: condition } : {}),
  };
}

export function principalOf(text: string): PolicyStatement['Principal'] {
  if (text === '*') return '*';
  if (/^\d{12}$/.test(text)) return { AWS: `arn:aws:iam::${text}:root` };
  if (/^arn:aws[a-z-]*:(iam|sts)::\d{12}:/.test(text)) return { AWS: text };
  if (/^[a-z0-9-]+(\.[a-z0-9-]+)*\.amazonaws\.com(\.cn)?$/.test(text)) return { Service: text };
  throw invalidParameter('The provided principal was invalid. Please check the principal and try again.');
}

export function policyText(policy: PolicyRecord): string {
  return JSON.stringify({ Version: '2012-10-17', Id: 'default', Statement: policy.statements });
}

/**
 * What a service that acts on its own behalf, such as API Gateway, calls for: its principal's id is the ARN of that. Undefined for everyone
 * else, and for Lambda itself, whose deliveries are made in the role's name.
 */
export function askingService(principal: Principal): { readonly sourceArn: string | undefined } | undefined {
  if (principal.kind !== 'service' || principal.arn === 'lambda.amazonaws.com') return undefined;
  return { sourceArn: principal.id.startsWith('arn:') ? principal.id : undefined };
}

/** Whether the resource policy lets this principal invoke the function. */
export function allowsInvoke(
  policy: PolicyRecord | undefined,
  principal: Principal,
  sourceArn: string | undefined,
  resource: string,
): boolean {
  if (policy === undefined) return false;
  const context = new Map<string, readonly string[]>([['aws:sourceaccount', [principal.account]]]);
  if (sourceArn !== undefined) context.set('aws:sourcearn', [sourceArn]);
  const document = policyOf({ Version: '2012-10-17', Id: 'default', Statement: policy.statements });
  const request = { action: 'lambda:InvokeFunction', resource, context };
  return evaluateResource([document], request, principal) === 'allow';
}
