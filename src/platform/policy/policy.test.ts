import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../kernel/clock/virtual.ts';
import type { Principal } from '../context.ts';
import {
  contextOf,
  createAuthorizer,
  decide,
  evaluateIdentity,
  evaluateResource,
  matchesAction,
  matchesResource,
  matchesWildcard,
  type PolicyDocument,
  policyOf,
  policyProblem,
} from '../policy.ts';

const user: Principal = {
  kind: 'user',
  arn: 'arn:aws:iam::111111111111:user/team/ann',
  account: '111111111111',
  id: 'AIDAANN',
};
const session: Principal = {
  kind: 'assumed-role',
  arn: 'arn:aws:sts::111111111111:assumed-role/worker/one',
  account: '111111111111',
  id: 'AROAWORKER:one',
  roleArn: 'arn:aws:iam::111111111111:role/worker',
};

const policy = (...Statement: object[]): PolicyDocument => policyOf({ Version: '2012-10-17', Statement });
const allow = (Action: unknown, Resource: unknown = '*', rest: object = {}) => ({
  Effect: 'Allow',
  Action,
  Resource,
  ...rest,
});
const deny = (Action: unknown, Resource: unknown = '*', rest: object = {}) => ({
  Effect: 'Deny',
  Action,
  Resource,
  ...rest,
});
/** A policy variable. */
const hole = (name: string): string => ['$', '{', name, '}'].join('');
const queue = 'arn:aws:sqs:us-east-1:111111111111:jobs';

function verdict(
  document: PolicyDocument,
  action = 'sqs:SendMessage',
  resource = queue,
  keys: Record<string, string[]> = {},
) {
  const context = new Map(contextOf(user, resource, Date.UTC(2026, 0, 2)));
  for (const [key, values] of Object.entries(keys)) context.set(key.toLowerCase(), values);
  return evaluateIdentity([document], { action, resource, context });
}

describe('wildcards', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', ':', '/', '.', '+'), maxLength: 12 });
  const pattern = fc.string({ unit: fc.constantFrom('a', 'b', ':', '.', '*', '?'), maxLength: 8 });

  test('agree with a regular expression', () => {
    fc.assert(
      fc.property(pattern, text, (wild, plain) => {
        const source = wild.replace(/[.+/]/g, '\\$&').replaceAll('*', '[^]*').replaceAll('?', '[^]');
        expect(matchesWildcard(wild, plain)).toBe(new RegExp(`^${source}$`).test(plain));
      }),
      { numRuns: 2_000 },
    );
  });

  test('every text fits itself with any part starred', () => {
    fc.assert(
      fc.property(text, fc.nat(12), fc.nat(12), (plain, from, length) => {
        expect(matchesWildcard(`${plain.slice(0, from)}*${plain.slice(from + length)}`, plain)).toBe(true);
      }),
    );
  });

  test('many stars do not cost more than text times pattern', () => {
    expect(matchesWildcard(`${'a*'.repeat(50)}b`, 'a'.repeat(20_000))).toBe(false);
  });

  test('actions disregard case, resources do not; wildcards stay in their part of an ARN', () => {
    expect(matchesAction('SQS:send*', 'sqs:SendMessage')).toBe(true);
    expect(matchesResource('arn:aws:sqs:us-*:111111111111:j?bs', queue)).toBe(true);
    expect(matchesResource('arn:aws:sqs:us-east-1:111111111111:Jobs', queue)).toBe(false);
    expect(matchesResource('arn:aws:sqs:*:jobs', queue)).toBe(true);
    expect(matchesResource('arn:aws:sqs:u*1:111111111111:jobs:x', queue)).toBe(false);
    expect(matchesResource('arn:aws:logs:*:*:log-group:*', 'arn:aws:logs:r:1:log-group:a:log-stream:b')).toBe(true);
    // A star in the region does not swallow the account.
    expect(matchesResource('arn:aws:sqs:us*:222222222222:*', `${queue}:222222222222:x`)).toBe(false);
  });
});

describe('precedence', () => {
  const statement = fc.record({
    effect: fc.constantFrom('Allow', 'Deny'),
    action: fc.constantFrom('sqs:*', 'sqs:SendMessage', 'sqs:ReceiveMessage', '*', 'iam:*'),
    resource: fc.constantFrom('*', queue, 'arn:aws:sqs:us-east-1:111111111111:other', 'arn:aws:sqs:*:*:jobs'),
  });

  test('a matching Deny beats everything, else a matching Allow is needed; order does not matter', () => {
    fc.assert(
      fc.property(fc.array(statement, { minLength: 1, maxLength: 6 }), (statements) => {
        const made = statements.map(({ effect, action, resource }) => ({
          Effect: effect,
          Action: action,
          Resource: resource,
        }));
        const hit = statements.filter(
          ({ action, resource }) => ['sqs:*', 'sqs:SendMessage', '*'].includes(action) && !resource.endsWith(':other'),
        );
        const expected = hit.some(({ effect }) => effect === 'Deny')
          ? 'explicit-deny'
          : hit.length > 0
            ? 'allow'
            : 'implicit-deny';
        expect(verdict(policy(...made))).toBe(expected);
        expect(verdict(policy(...made.reverse()))).toBe(expected);
      }),
    );
  });

  test('boundary, session and identity must all allow; any Deny ends it', () => {
    const request = { action: 'sqs:SendMessage', resource: queue, context: new Map() };
    const yes = [policy(allow('sqs:*'))];
    const no = [policy(deny('sqs:*'))];
    const other = [policy(allow('s3:*'))];
    const by = (decision: ReturnType<typeof decide>) =>
      decision.allowed ? 'allowed' : `${decision.explicit ? 'explicit' : 'implicit'} ${decision.by}`;
    expect(by(decide({ identity: yes }, request, user))).toBe('allowed');
    expect(by(decide({ identity: [] }, request, user))).toBe('implicit identity-based policy');
    expect(by(decide({ identity: yes, boundary: yes, session: yes }, request, user))).toBe('allowed');
    expect(by(decide({ identity: yes, boundary: other }, request, user))).toBe('implicit permissions boundary');
    expect(by(decide({ identity: yes, session: other }, request, user))).toBe('implicit session policy');
    expect(by(decide({ identity: yes, session: no }, request, user))).toBe('explicit session policy');
    expect(by(decide({ identity: no, boundary: yes }, request, user))).toBe('explicit identity-based policy');
    const named = [policyOf({ Statement: { ...allow('sqs:*'), Principal: { AWS: user.arn } } })];
    const account = [policyOf({ Statement: { ...allow('sqs:*'), Principal: { AWS: '111111111111' } } })];
    expect(by(decide({ identity: [], resource: named }, request, user))).toBe('allowed');
    expect(by(decide({ identity: [], resource: account }, request, user))).toBe('implicit identity-based policy');
    expect(
      by(
        decide({ identity: yes, resource: [policyOf({ Statement: { ...deny('*'), Principal: '*' } })] }, request, user),
      ),
    ).toBe('explicit resource-based policy');
  });

  test('NotAction, NotResource and NotPrincipal', () => {
    expect(verdict(policy({ Effect: 'Allow', NotAction: 'iam:*', Resource: '*' }))).toBe('allow');
    expect(verdict(policy({ Effect: 'Allow', NotAction: 'sqs:*', Resource: '*' }))).toBe('implicit-deny');
    expect(verdict(policy({ Effect: 'Allow', Action: '*', NotResource: queue }))).toBe('implicit-deny');
    const request = { action: 'sqs:SendMessage', resource: queue, context: new Map() };
    const others = [policyOf({ Statement: { ...deny('*'), NotPrincipal: { AWS: session.roleArn } } })];
    expect(evaluateResource(others, request, session)).toBe('implicit-deny');
    expect(evaluateResource(others, request, user)).toBe('explicit-deny');
    const service: Principal = { kind: 'service', arn: 'sns.amazonaws.com', account: '1', id: 'sns.amazonaws.com' };
    const topic = [policyOf({ Statement: { ...allow('sqs:*'), Principal: { Service: 'sns.amazonaws.com' } } })];
    expect(evaluateResource(topic, request, service)).toBe('allow');
    expect(evaluateResource(topic, request, user)).toBe('implicit-deny');
  });
});

describe('conditions', () => {
  const holds = (Condition: object, keys: Record<string, string[]> = {}): boolean =>
    verdict(policy(allow('sqs:*', '*', { Condition })), undefined, undefined, keys) === 'allow';

  test.each([
    [{ StringEquals: { 'aws:username': 'ann' } }, {}, true],
    [{ StringEquals: { 'AWS:UserName': ['bob', 'ann'] } }, {}, true],
    [{ StringEquals: { 'aws:username': 'a*' } }, {}, false],
    [{ StringLike: { 'aws:username': 'a*' } }, {}, true],
    [{ StringNotLike: { 'aws:username': ['b*', 'a*'] } }, {}, false],
    [{ StringNotEquals: { 'x:y': 'a' } }, {}, true],
    [{ StringEquals: { 'x:y': 'a' } }, {}, false],
    [{ StringEqualsIfExists: { 'x:y': 'a' } }, {}, true],
    [{ StringEqualsIfExists: { 'x:y': 'a' } }, { 'x:y': ['b'] }, false],
    [{ StringEqualsIgnoreCase: { 'aws:username': 'ANN' } }, {}, true],
    [{ NumericLessThan: { 'x:n': '10' } }, { 'x:n': ['9'] }, true],
    [{ NumericGreaterThanEquals: { 'x:n': 10 } }, { 'x:n': ['9'] }, false],
    [{ NumericEquals: { 'x:n': '1.0' } }, { 'x:n': ['1'] }, true],
    [{ NumericEquals: { 'x:n': 'one' } }, { 'x:n': ['1'] }, false],
    [{ DateGreaterThan: { 'aws:CurrentTime': '2026-01-01T00:00:00Z' } }, {}, true],
    [{ DateLessThan: { 'aws:EpochTime': '1767225600' } }, {}, false],
    [{ Bool: { 'aws:SecureTransport': false } }, {}, true],
    [{ Null: { 'x:y': 'true' } }, {}, true],
    [{ Null: { 'x:y': 'false' } }, {}, false],
    [{ Null: { 'aws:username': 'false' } }, {}, true],
    [{ IpAddress: { 'aws:SourceIp': '10.0.0.0/8' } }, { 'aws:SourceIp': ['10.1.2.3'] }, true],
    [{ NotIpAddress: { 'aws:SourceIp': '10.0.0.0/8' } }, { 'aws:SourceIp': ['10.1.2.3'] }, false],
    [{ IpAddress: { 'aws:SourceIp': '2001:db8::/32' } }, { 'aws:SourceIp': ['2001:db8::1'] }, true],
    [{ ArnLike: { 'aws:PrincipalArn': 'arn:aws:iam::*:user/*' } }, {}, true],
    [{ ArnNotEquals: { 'aws:PrincipalArn': 'arn:aws:iam::*:user/*' } }, {}, false],
    [{ 'ForAllValues:StringEquals': { 'aws:TagKeys': ['a', 'b'] } }, { 'aws:TagKeys': ['a', 'b'] }, true],
    [{ 'ForAllValues:StringEquals': { 'aws:TagKeys': ['a', 'b'] } }, { 'aws:TagKeys': ['a', 'c'] }, false],
    [{ 'ForAllValues:StringEquals': { 'aws:TagKeys': ['a', 'b'] } }, {}, true],
    [{ 'ForAnyValue:StringEquals': { 'aws:TagKeys': ['a', 'b'] } }, { 'aws:TagKeys': ['x', 'b'] }, true],
    [{ 'ForAnyValue:StringEquals': { 'aws:TagKeys': ['a', 'b'] } }, {}, false],
    [{ 'ForAnyValue:StringNotEquals': { 'aws:TagKeys': 'a' } }, { 'aws:TagKeys': ['a', 'b'] }, true],
    [{ StringEquals: { 'aws:username': 'ann' }, Bool: { 'aws:SecureTransport': 'true' } }, {}, false],
    [{ StringEquals: { 'aws:PrincipalAccount': hole('aws:ResourceAccount') } }, {}, true],
  ] as [object, Record<string, string[]>, boolean][])('%j with %j: %s', (condition, keys, expected) => {
    expect(holds(condition, keys)).toBe(expected);
  });

  test('variables in resources', () => {
    const own = policy(allow('s3:*', `arn:aws:s3:::home/${hole('aws:username')}/*`));
    expect(verdict(own, 's3:GetObject', 'arn:aws:s3:::home/ann/x')).toBe('allow');
    expect(verdict(own, 's3:GetObject', 'arn:aws:s3:::home/bob/x')).toBe('implicit-deny');
    const tagged = policy(allow('s3:*', `arn:aws:s3:::${hole("aws:PrincipalTag/team, 'shared'")}/*`));
    expect(verdict(tagged, 's3:GetObject', 'arn:aws:s3:::shared/x')).toBe('allow');
    expect(verdict(tagged, 's3:GetObject', 'arn:aws:s3:::blue/x', { 'aws:PrincipalTag/team': ['blue'] })).toBe('allow');
    expect(verdict(policy(allow('s3:*', `arn:aws:s3:::a${hole('*')}b`)), 's3:GetObject', 'arn:aws:s3:::a*b')).toBe(
      'allow',
    );
    expect(verdict(policy(allow('s3:*', `arn:aws:s3:::a${hole('*')}b`)), 's3:GetObject', 'arn:aws:s3:::axb')).toBe(
      'implicit-deny',
    );
    // What a variable holds is no pattern.
    expect(verdict(own, 's3:GetObject', 'arn:aws:s3:::home/bob/x', { 'aws:username': ['*'] })).toBe('implicit-deny');
    expect(verdict(policy(allow('s3:*', `arn:aws:s3:::${hole('x:unknown')}*`)), 's3:GetObject', 'arn:aws:s3:::b')).toBe(
      'implicit-deny',
    );
  });
});

test('the authorizer refuses in the words of AWS', async () => {
  const policies = new Map([
    [user.arn, { identity: [policy(allow('sqs:Get*'), deny('sqs:Purge*'))] }],
    [session.arn, { identity: [policy(allow('*'))], session: [policy(allow('s3:*'))] }],
  ]);
  const authorizer = createAuthorizer({
    source: { policiesOf: async ({ arn }) => policies.get(arn) },
    clock: new VirtualClock(0),
  });
  expect(await authorizer.deny(user, 'sqs:GetQueueUrl', queue)).toBeUndefined();
  expect(await authorizer.deny(user, 'sqs:SendMessage', queue)).toBe(
    `User: ${user.arn} is not authorized to perform: sqs:SendMessage on resource: ${queue} because no identity-based policy allows the sqs:SendMessage action`,
  );
  expect(await authorizer.deny(user, 'sqs:PurgeQueue', queue)).toBe(
    `User: ${user.arn} is not authorized to perform: sqs:PurgeQueue on resource: ${queue} with an explicit deny in an identity-based policy`,
  );
  expect(await authorizer.deny(session, 'sqs:SendMessage', queue)).toBe(
    `User: ${session.arn} is not authorized to perform: sqs:SendMessage on resource: ${queue} because no session policy allows the sqs:SendMessage action`,
  );
  expect(await authorizer.deny({ ...user, kind: 'root' }, 'sqs:SendMessage', queue)).toBeUndefined();
  expect(await authorizer.deny({ ...user, arn: 'gone' }, 'sts:GetCallerIdentity', '*')).toBeUndefined();
});

describe('what AWS complains about', () => {
  const one = (statement: unknown, Version = '2012-10-17'): string =>
    JSON.stringify({ Version, Statement: [statement] });
  test.each([
    ['not json', 'Syntax errors in policy.'],
    ['{}', 'Syntax errors in policy.'],
    [JSON.stringify({ Version: '2012', Statement: allow('s3:*') }), 'Syntax errors in policy.'],
    [one({ Action: 's3:*', Resource: '*' }), 'Missing required field Effect'],
    [one({ ...allow('s3:*'), Extra: 1 }), 'Syntax errors in policy.'],
    [one({ ...allow('s3:*'), NotAction: 's3:*' }), 'Syntax errors in policy.'],
    [one(allow('s3:*', '*', { Condition: { Odd: { a: 'b' } } })), 'Syntax errors in policy.'],
    [one({ Effect: 'Allow', Resource: '*' }), 'Policy statement must contain actions.'],
    [one({ Effect: 'Allow', Action: 's3:*' }), 'Policy statement must contain resources.'],
    [one(allow('GetObject')), 'Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.'],
    [one(allow('s3:a:b')), 'Actions/Condition can contain only one colon.'],
    [one(allow('s 3:a')), 'Vendor s 3 is not valid'],
    [one(allow('s3:*', 'bucket')), 'Resource bucket must be in ARN format or "*".'],
    [one({ ...allow('s3:*'), Principal: '*' }), 'Policy document should not specify a principal.'],
    [
      JSON.stringify({
        Version: '2012-10-17',
        Statement: [allow('a:b', '*', { Sid: 'x' }), allow('a:b', '*', { Sid: 'x' })],
      }),
      'Statement IDs (SID) in a single policy must be unique.',
    ],
    [one(allow(['s3:Get*', '*'], ['arn:aws:s3:::a', '*'])), undefined],
  ])('%s', (text, problem) => expect(policyProblem(text, 'identity')).toBe(problem));

  const trust = (rest: object): string => one({ Effect: 'Allow', Action: 'sts:AssumeRole', ...rest });
  test.each([
    ['x', 'This policy contains invalid Json'],
    [trust({ Principal: { Service: 'lambda.amazonaws.com' }, Resource: '*' }), 'Has prohibited field Resource'],
    [trust({}), 'Missing required field Principal'],
    [trust({ Principal: {} }), 'Missing required field Principal cannot be empty!'],
    [trust({ Principal: '*', Action: 's3:*' }), 'AssumeRole policy may only specify STS AssumeRole actions.'],
    [trust({ Principal: { AWS: 'bob' } }), 'Invalid principal in policy: "AWS":"bob"'],
    [trust({ Principal: { Service: 'lambda' } }), 'Invalid principal in policy: "SERVICE":"lambda"'],
    [
      trust({ Principal: { Service: ['lambda.amazonaws.com', 'edgelambda.amazonaws.com'], AWS: '111111111111' } }),
      undefined,
    ],
  ])('trust: %s', (text, problem) => expect(policyProblem(text, 'trust')).toBe(problem));
});
