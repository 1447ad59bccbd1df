import type { Principal } from './context.ts';

/** Secrets behind an access key, and who it stands for. */
export interface Credential {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Temporary credentials come with one, and a request must carry it. */
  readonly sessionToken?: string;
  readonly expiresAtMs?: number;
  readonly principal: Principal;
}

export interface TemporaryCredential extends Credential {
  readonly sessionToken: string;
  readonly expiresAtMs: number;
}

export interface IssueRequest {
  readonly roleArn: string;
  readonly sessionName: string;
  readonly durationMs: number;
}

/** Looks up access keys; IAM's users and STS's sessions stand behind it. */
export interface Credentials {
  find(accessKeyId: string): Promise<Credential | undefined>;
  /** The root key of the default account, made at first start: what `--auth signed` and `enforced` begin with. */
  root(): Promise<Credential>;
  issue(request: IssueRequest): Promise<TemporaryCredential>;
}

/** Decides whether a principal may do something, when the cloud enforces it. */
export interface Authorizer {
  /**
   * Undefined: allowed. Else the words of AWS's AccessDenied. `values`: what conditions may ask of this request, keys in lower
   * case. `resourcePolicy`: the policy of the resource itself as JSON, null where it has none but could: then another account
   * needs one. Undefined: resources of this kind have no policies.
   */
  deny(
    principal: Principal,
    action: string,
    resource: string,
    values?: ReadonlyMap<string, readonly string[]>,
    resourcePolicy?: string | null,
  ): Promise<string | undefined>;
}
