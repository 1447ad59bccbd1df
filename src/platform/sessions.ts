import type { Principal } from './context.ts';
import type { Credentials, TemporaryCredential } from './credentials.ts';

/** Temporary credentials as STS asks for them: more than a service needs for a function. */
export interface SessionRequest {
  /** Whom they stand for. */
  readonly principal: Principal;
  readonly durationMs: number;
  /** Inline session policies and managed ones' ARNs; left out: the session may do all that its principal may. */
  readonly policies?: { readonly documents: readonly string[]; readonly arns: readonly string[] };
  readonly tags?: Readonly<Record<string, string>>;
  readonly transitiveTagKeys?: readonly string[];
  readonly sourceIdentity?: string;
}

/** What STS stands on beside the credentials that every service sees. */
export interface SessionIssuer extends Credentials {
  /** Whether IAM's policies decide in this cloud; where they do not, trust policies do not either. */
  readonly enforced: boolean;
  issueSession(request: SessionRequest): Promise<TemporaryCredential>;
  /** The tags that a session hands on to the roles it assumes. */
  transitiveTags(accessKeyId: string): Promise<Readonly<Record<string, string>>>;
}

/** The credentials of a cloud as a session issuer. Throws for an implementation that is none: a fault of composition. */
export function sessionIssuer(credentials: Credentials): SessionIssuer {
  if (!('issueSession' in credentials)) throw new Error('these credentials cannot issue sessions');
  return credentials as SessionIssuer;
}
