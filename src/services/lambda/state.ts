import type { Check, Key, Store, Version } from '../../kernel/store/contract.ts';
import { encodeKey, prefixRange } from '../../kernel/store/keys.ts';
import type { Runtime, StateReasonCode } from '../../wire/types/lambda.ts';

/** Whose functions: everything in the store stands under an account and a region. */
export interface Place {
  readonly account: string;
  readonly region: string;
}

/**
 * A function. Every write to anything of it (versions, aliases, policies, …) writes this record as well, so that its version in
 * the store stamps them all: a reader that finds it unchanged knows that nothing of the function has changed.
 */
export interface FunctionRecord {
  readonly name: string;
  /** Tells a function from another of the same name that was there before. */
  readonly id: string;
  readonly latest: FunctionVersion;
  /** What invocations run while an update is in progress: $LATEST as it was. */
  readonly serving?: FunctionVersion;
  readonly nextVersion: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly reservedConcurrency?: number;
}

/** $LATEST or a published version: what GetFunctionConfiguration shows. */
export interface FunctionVersion {
  /** `$LATEST`, or a number. */
  readonly version: string;
  readonly revisionId: string;
  /** Names what a sandbox is started from: a sandbox serves one of these only. */
  readonly environmentId: string;
  /** Of a published version: the environmentId that $LATEST had. */
  readonly publishedFrom?: string;
  readonly description: string;
  readonly role: string;
  readonly runtime: Runtime;
  readonly handler: string;
  readonly timeoutSeconds: number;
  readonly memoryMb: number;
  readonly ephemeralStorageMb: number;
  readonly architecture: 'x86_64' | 'arm64';
  readonly variables?: Readonly<Record<string, string>>;
  readonly codeDigest: string;
  readonly codeBytes: number;
  readonly deadLetterArn?: string;
  readonly tracing: 'Active' | 'PassThrough';
  readonly kmsKeyArn?: string;
  readonly vpc?: { readonly subnetIds: readonly string[]; readonly securityGroupIds: readonly string[] };
  readonly logGroup: string;
  readonly snapStart: 'PublishedVersions' | 'None';
  readonly state: 'Pending' | 'Active' | 'Failed';
  readonly stateReason?: string;
  readonly stateReasonCode?: StateReasonCode;
  readonly update: 'Successful' | 'InProgress' | 'Failed';
  readonly updateReason?: string;
  readonly lastModifiedMs: number;
}

export interface AliasRecord {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  /** Share of invocations (0 to 1) that go to other versions. */
  readonly weights?: Readonly<Record<string, number>>;
  readonly revisionId: string;
}

/** The resource policy of a function (qualifier `''`), a version or an alias. */
export interface PolicyRecord {
  readonly revisionId: string;
  readonly statements: readonly PolicyStatement[];
}

export interface PolicyStatement {
  readonly Sid: string;
  readonly Effect: 'Allow';
  readonly Principal: '*' | { readonly Service: string } | { readonly AWS: string };
  readonly Action: string;
  readonly Resource: string;
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

export interface InvokeConfigRecord {
  readonly qualifier: string;
  readonly retries?: number;
  readonly eventAgeSeconds?: number;
  readonly onSuccess?: string;
  readonly onFailure?: string;
  readonly lastModifiedMs: number;
}

export interface MappingRecord extends Place {
  readonly uuid: string;
  readonly functionName: string;
  readonly qualifier?: string;
  readonly functionArn: string;
  readonly sourceArn: string;
  readonly batchSize: number;
  readonly windowSeconds: number;
  readonly responseTypes: readonly 'ReportBatchItemFailures'[];
  readonly filters: readonly string[];
  readonly maximumConcurrency?: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly state: 'Creating' | 'Enabling' | 'Enabled' | 'Disabling' | 'Disabled' | 'Updating' | 'Deleting';
  /** What the state is on its way to, or is. */
  readonly enabled: boolean;
  readonly lastModifiedMs: number;
}

/** What all functions of an account in a region share: reservations by function name. */
export interface AccountRecord {
  readonly reserved: Readonly<Record<string, number>>;
}

/** An event accepted for later: the payload of its job. */
export interface QueuedEvent extends Place {
  readonly requestId: string;
  readonly functionName: string;
  readonly qualifier?: string;
  readonly acceptedAtMs: number;
  readonly traceHeader: string;
  readonly clientContext?: string;
  /** The event's JSON text, or where it is kept if it is long. */
  readonly body: { readonly text: string } | { readonly blob: string };
  /** Invocations that reached the function. */
  readonly invokeCount: number;
  /** Waits for capacity in a row. */
  readonly throttles: number;
  readonly last?: LastResult;
  /** The invocations are over, this is to be sent. */
  readonly deliveries?: readonly QueuedDelivery[];
}

export interface LastResult {
  readonly statusCode: number;
  readonly executedVersion: string;
  readonly functionError?: string;
  /** JSON text of the function's answer. */
  readonly payload: string;
}

export interface QueuedDelivery {
  readonly id: string;
  readonly targetArn: string;
  readonly roleArn: string;
  readonly sourceArn: string;
  readonly body: string;
  readonly attributes?: Readonly<Record<string, { readonly type: 'String' | 'Number'; readonly value: string }>>;
  readonly attempt: number;
}

export interface Stored<T> {
  readonly record: T;
  readonly key: Key;
  readonly version: Version;
}

const service = 'lambda';
const of = (kind: string, place: Place, ...parts: string[]): Key =>
  encodeKey(service, kind, place.account, place.region, ...parts);

export const keys = {
  everything: encodeKey(service),
  function: (place: Place, name: string): Key => of('function', place, name),
  functions: (place: Place): Key => of('function', place),
  version: (place: Place, name: string, version: string): Key =>
    encodeKey(service, 'version', place.account, place.region, name, Number(version)),
  versions: (place: Place, name: string): Key => of('version', place, name),
  versionsOfAll: (place: Place): Key => of('version', place),
  alias: (place: Place, name: string, alias: string): Key => of('alias', place, name, alias),
  aliases: (place: Place, name: string): Key => of('alias', place, name),
  policy: (place: Place, name: string, qualifier: string): Key => of('policy', place, name, qualifier),
  policies: (place: Place, name: string): Key => of('policy', place, name),
  invokeConfig: (place: Place, name: string, qualifier: string): Key => of('invoke-config', place, name, qualifier),
  invokeConfigs: (place: Place, name: string): Key => of('invoke-config', place, name),
  mapping: (place: Place, uuid: string): Key => of('mapping', place, uuid),
  mappings: (place: Place): Key => of('mapping', place),
  allMappings: encodeKey(service, 'mapping'),
  /** One mapping for each pair of a source and a function. */
  mappingPair: (place: Place, sourceArn: string, functionArn: string): Key =>
    of('mapping-pair', place, sourceArn, functionArn),
  account: (place: Place): Key => of('account', place),
  /** A counter: bytes of stored code. */
  codeBytes: (place: Place): Key => of('code-bytes', place),
};

export async function read<T>(store: Store, key: Key): Promise<Stored<T> | undefined> {
  const entry = await store.get(key);
  return entry === undefined ? undefined : { record: decode<T>(entry.value), key, version: entry.version };
}

/** Everything under a prefix, in key order. */
export async function readAll<T>(store: Store, prefix: Key): Promise<readonly Stored<T>[]> {
  const entries = await store.list(prefixRange(prefix));
  return entries.map(({ key, value, version }) => ({ record: decode<T>(value), key, version }));
}

export function encode(record: unknown): Buffer {
  return Buffer.from(JSON.stringify(record), 'utf8');
}

export function decode<T>(value: Buffer): T {
  return JSON.parse(value.toString('utf8')) as T;
}

/** The check that a record is still as it was read, or still absent. */
export function unchanged(key: Key, stored: Stored<unknown> | undefined): Check {
  return { key, version: stored === undefined ? null : stored.version };
}
