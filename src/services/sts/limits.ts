import type { Limit } from '../../kernel/limits/limits.ts';

const source = 'https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html';
const sessionToken = 'https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html';

export const limits = {
  defaultRoleSession: { name: 'Default role session', value: 3_600, unit: 's', source, adjustable: false },
  chainedRoleSession: { name: 'Role chaining session', value: 3_600, unit: 's', source, adjustable: false },
  defaultSession: { name: 'Default session', value: 43_200, unit: 's', source: sessionToken, adjustable: false },
  rootSession: { name: 'Root session', value: 3_600, unit: 's', source: sessionToken, adjustable: false },
  sessionPolicy: { name: 'Session policy', value: 2_048, unit: 'characters', source, adjustable: false },
  sessionPolicyArns: { name: 'Session policy ARNs', value: 10, unit: 'policies', source, adjustable: false },
} as const satisfies Record<string, Limit>;
