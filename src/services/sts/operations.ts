import { serviceCaller } from '../../platform/context.ts';
import type { TemporaryCredential } from '../../platform/credentials.ts';
import type { Handlers, Platform } from '../../platform/service.ts';
import { sessionIssuer } from '../../platform/sessions.ts';
import { AwsError } from '../../wire/errors.ts';
import type { Role } from '../../wire/types/iam.ts';
import type { Credentials } from '../../wire/types/sts.ts';
import { limits } from './limits.ts';
import {
  notAuthorizedToAssume,
  parseRoleArn,
  roleSessionSeconds,
  sessionPolicies,
  sessionTags,
  trustVerdict,
} from './rules.ts';

export function stsOperations({ bus, clock, credentials }: Platform) {
  const issuer = sessionIssuer(credentials);

  /** The role as IAM knows it; to a caller an unknown role is one that may not be assumed. */
  const findRole = async (roleArn: string, region: string): Promise<Role | undefined> => {
    const { account, name } = parseRoleArn(roleArn);
    try {
      const { Role } = await bus.call(serviceCaller('sts', account, region), 'iam', 'GetRole', { RoleName: name });
      return Role.Arn === roleArn ? Role : undefined;
    } catch (error) {
      if (error instanceof AwsError && error.code === 'NoSuchEntityException') return undefined;
      throw error;
    }
  };

  return {
    GetCallerIdentity: async ({ principal }) => ({
      UserId: principal.id,
      Account: principal.account,
      Arn: principal.arn,
    }),

    AssumeRole: async ({ principal, region }, input) => {
      const { RoleArn: roleArn, RoleSessionName: sessionName } = input;
      const { account, name } = parseRoleArn(roleArn);
      if (input.SerialNumber !== undefined || input.TokenCode !== undefined)
        throw new AwsError('AccessDenied', 'MultiFactorAuthentication failed with invalid MFA one time pass code.', {
          status: 403,
        });
      if (input.ProvidedContexts !== undefined)
        throw new AwsError('InvalidParameterValue', 'Trusted context assertions are not built in Unkai.');
      const chained = principal.kind === 'assumed-role';
      const inherited = principal.accessKeyId === undefined ? {} : await issuer.transitiveTags(principal.accessKeyId);
      const { tags, transitive } = sessionTags(input.Tags ?? [], input.TransitiveTagKeys ?? [], inherited);
      const policies = sessionPolicies(input.Policy, input.PolicyArns, input.Tags);

      const role = await findRole(roleArn, region);
      if (role === undefined) throw notAuthorizedToAssume(principal, roleArn);
      if (issuer.enforced) {
        const request = {
          roleArn,
          sessionName,
          externalId: input.ExternalId,
          sourceIdentity: input.SourceIdentity,
          tags: Object.fromEntries((input.Tags ?? []).map(({ Key, Value }) => [Key, Value])),
          nowMs: clock.now(),
        };
        const trust = decodeURIComponent(role.AssumeRolePolicyDocument ?? '');
        if (trustVerdict(trust, principal, request, 'account') !== 'allow')
          throw notAuthorizedToAssume(principal, roleArn);
      }
      const seconds = roleSessionSeconds(input.DurationSeconds, role.MaxSessionDuration ?? 3600, chained);
      const session = await issuer.issueSession({
        principal: {
          kind: 'assumed-role',
          arn: `arn:aws:sts::${account}:assumed-role/${name}/${sessionName}`,
          account,
          id: `${role.RoleId}:${sessionName}`,
          roleArn,
        },
        durationMs: seconds * 1000,
        ...(policies.documents.length + policies.arns.length === 0 ? {} : { policies }),
        ...(Object.keys(tags).length === 0 ? {} : { tags, transitiveTagKeys: transitive }),
        ...(input.SourceIdentity === undefined ? {} : { sourceIdentity: input.SourceIdentity }),
      });
      return {
        Credentials: credentialsShape(session),
        AssumedRoleUser: { AssumedRoleId: session.principal.id, Arn: session.principal.arn },
        ...(policies.packedPercent === 0 ? {} : { PackedPolicySize: policies.packedPercent }),
        ...(input.SourceIdentity === undefined ? {} : { SourceIdentity: input.SourceIdentity }),
      };
    },

    GetSessionToken: async ({ principal }, input) => {
      if (principal.kind === 'assumed-role' || principal.accessKeyId?.startsWith('ASIA') === true)
        throw new AwsError('AccessDenied', 'Cannot call GetSessionToken with session credentials', { status: 403 });
      if (input.SerialNumber !== undefined || input.TokenCode !== undefined)
        throw new AwsError('AccessDenied', 'MultiFactorAuthentication failed with invalid MFA one time pass code.', {
          status: 403,
        });
      const isRoot = principal.kind === 'root';
      const asked = input.DurationSeconds ?? (isRoot ? limits.rootSession.value : limits.defaultSession.value);
      const seconds = isRoot ? Math.min(asked, limits.rootSession.value) : asked;
      const session = await issuer.issueSession({ principal, durationMs: seconds * 1000 });
      return { Credentials: credentialsShape(session) };
    },

    GetAccessKeyInfo: async (_context, { AccessKeyId }) => {
      const known = await issuer.find(AccessKeyId);
      const account = known?.principal.account ?? (/^\d{12}$/.test(AccessKeyId) ? AccessKeyId : undefined);
      if (account === undefined)
        throw new AwsError('ValidationError', `Access key ${AccessKeyId} is not one of this cloud's.`);
      return { Account: account };
    },
  } satisfies Handlers<'sts'>;
}

/** STS's times are whole seconds. */
function credentialsShape(session: TemporaryCredential): Credentials {
  return {
    AccessKeyId: session.accessKeyId,
    SecretAccessKey: session.secretAccessKey,
    SessionToken: session.sessionToken,
    Expiration: Math.floor(session.expiresAtMs / 1000) * 1000,
  };
}
