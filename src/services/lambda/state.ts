import type { Check, Key, Store, Version } from '../../kernel/store/contract.ts';
import { encodeKey, prefixRange } from '../../kernel/store/keys.ts';
import type {
  Architecture,
  Cors,
  FunctionUrlAuthType,
  InvokeMode,
  Runtime,
  StateReasonCode,
} from '../../wire/types/lambda.ts';

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
  /** Provisioned concurrency by qualifier: a version or an alias. */
  readonly provisioned?: Readonly<Record<string, ProvisionedRecord>>;
  readonly codeSigningConfigArn?: string;
  /** Left out: Terminate. */
  readonly recursiveLoop?: 'Allow';
  /** Runtime management by version (`$LATEST`, a number); left out: Auto. */
  readonly runtimeManagement?: Readonly<Record<string, RuntimeManagementRecord>>;
}

export interface ProvisionedRecord {
  readonly requested: number;
  readonly lastModifiedMs: number;
}

export interface RuntimeManagementRecord {
  readonly updateOn: 'FunctionUpdate' | 'Manual';
  readonly runtimeVersionArn?: string;
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
  /** Of an image: none. */
  readonly runtime?: Runtime;
  /** Of an image: none. */
  readonly handler?: string;
  readonly timeoutSeconds: number;
  readonly memoryMb: number;
  readonly ephemeralStorageMb: number;
  readonly architecture: 'x86_64' | 'arm64';
  readonly variables?: Readonly<Record<string, string>>;
  /** Of the zip; of an image, its manifest's. */
  readonly codeDigest: string;
  /** Zipped; of an image 0, as AWS counts it. */
  readonly codeBytes: number;
  readonly unzippedBytes?: number;
  /** Set: the code is an image. */
  readonly image?: FunctionImage;
  readonly layers?: readonly FunctionLayer[];
  readonly deadLetterArn?: string;
  readonly tracing: 'Active' | 'PassThrough';
  readonly kmsKeyArn?: string;
  readonly vpc?: {
    readonly subnetIds: readonly string[];
    readonly securityGroupIds: readonly string[];
    readonly ipv6?: true;
  };
  readonly logGroup: string;
  /** Set: the log format is JSON. */
  readonly jsonLogs?: JsonLogs;
  readonly snapStart: 'PublishedVersions' | 'None';
  readonly state: 'Pending' | 'Active' | 'Failed';
  readonly stateReason?: string;
  readonly stateReasonCode?: StateReasonCode;
  readonly update: 'Successful' | 'InProgress' | 'Failed';
  readonly updateReason?: string;
  readonly lastModifiedMs: number;
}

export interface FunctionImage {
  /** As the function names it. */
  readonly uri: string;
  /** With the digest in place of the tag. */
  readonly resolvedUri: string;
  readonly config?: {
    readonly entryPoint?: readonly string[];
    readonly command?: readonly string[];
    readonly workingDirectory?: string;
  };
}

/** A layer's version as it was when the function took it: it goes on in the function when it is deleted. */
export interface FunctionLayer {
  readonly arn: string;
  readonly digest: string;
  readonly zippedBytes: number;
  readonly unzippedBytes: number;
}

export interface JsonLogs {
  readonly applicationLevel: 'TRACE' | 'DEBUG' | 'INFO' | 'WARN' | 'ERROR' | 'FATAL';
  readonly systemLevel: 'DEBUG' | 'INFO' | 'WARN';
}

/** A layer's name; it stays when its versions are deleted, so that no number comes twice. */
export interface LayerRecord {
  readonly name: string;
  readonly nextVersion: number;
}

export interface LayerVersionRecord {
  readonly name: string;
  readonly version: number;
  readonly digest: string;
  readonly zippedBytes: number;
  readonly unzippedBytes: number;
  readonly description: string;
  readonly licenseInfo?: string;
  /** Left out: not said. */
  readonly runtimes?: readonly Runtime[];
  readonly architectures?: readonly Architecture[];
  readonly createdMs: number;
}

export interface CodeSigningRecord {
  /** `csc-` and 17 characters. */
  readonly id: string;
  readonly description: string;
  readonly publishers: readonly string[];
  readonly policy: 'Warn' | 'Enforce';
  readonly tags: Readonly<Record<string, string>>;
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

/** The resource policy of a function (qualifier `''`), a version or an alias, or of a layer's version. */
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

/** The URL of a function (qualifier `''`) or of an alias. */
export interface UrlRecord {
  /** The first label of its host name. */
  readonly urlId: string;
  readonly qualifier: string;
  readonly authType: FunctionUrlAuthType;
  readonly cors?: Cors;
  /** Left out: not said, which means BUFFERED. */
  readonly invokeMode?: InvokeMode;
  readonly createdAtMs: number;
  readonly lastModifiedMs: number;
}

/** Whose URL an id is; the function's own record of it decides whether it still is. */
export interface UrlIdRecord extends Place {
  readonly functionName: string;
  readonly qualifier: string;
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
  readonly provisionedPollers?: ProvisionedPollers;
  readonly kmsKeyArn?: string;
  readonly metrics?: readonly 'EventCount'[];
  /** Set where the source is a stream. */
  readonly stream?: StreamSettings;
  readonly tags: Readonly<Record<string, string>>;
  readonly state: 'Creating' | 'Enabling' | 'Enabled' | 'Disabling' | 'Disabled' | 'Updating' | 'Deleting';
  /** What the state is on its way to, or is. */
  readonly enabled: boolean;
  readonly lastModifiedMs: number;
}

export interface ProvisionedPollers {
  readonly minimum: number;
  readonly maximum: number;
}

/** How the stream behind a mapping is read, and what becomes of batches that fail. */
export interface StreamSettings {
  readonly startingPosition: 'TRIM_HORIZON' | 'LATEST' | 'AT_TIMESTAMP';
  readonly startingTimestampMs?: number;
  /** Batches under way of one shard. */
  readonly parallelization: number;
  readonly bisects: boolean;
  /** -1: without end. */
  readonly retries: number;
  /** -1: without bound. */
  readonly recordAgeSeconds: number;
  /** 0: no windows. */
  readonly tumblingSeconds: number;
  /** An ARN that is told of batches given up. */
  readonly onFailure?: string;
}

/** A shard that a mapping knows of. One that is open has an entry in the partition of `keys.shardLeases`, whose value is its progress. */
export interface ShardRecord {
  readonly shardId: string;
  readonly status: 'open' | 'done';
}

/** What all functions of an account in a region share, by function name. */
export interface AccountRecord {
  readonly reserved: Readonly<Record<string, number>>;
  /** Provisioned concurrency, all qualifiers together. */
  readonly provisioned?: Readonly<Record<string, number>>;
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
  url: (place: Place, name: string, qualifier: string): Key => of('url', place, name, qualifier),
  urls: (place: Place, name: string): Key => of('url', place, name),
  urlId: (urlId: string): Key => encodeKey(service, 'url-id', urlId),
  mapping: (place: Place, uuid: string): Key => of('mapping', place, uuid),
  mappings: (place: Place): Key => of('mapping', place),
  allMappings: encodeKey(service, 'mapping'),
  /** One mapping for each pair of a source and a function. */
  mappingPair: (place: Place, sourceArn: string, functionArn: string): Key =>
    of('mapping-pair', place, sourceArn, functionArn),
  /** What the latest batch of a stream's mapping came to: apart from the mapping, which its user writes. */
  mappingResult: (place: Place, uuid: string): Key => of('mapping-result', place, uuid),
  mappingShard: (place: Place, uuid: string, shardId: string): Key => of('mapping-shard', place, uuid, shardId),
  mappingShards: (place: Place, uuid: string): Key => of('mapping-shard', place, uuid),
  /** A partition of due entries by shard: who claims one reads that shard, until it is due again. */
  shardLeases: (place: Place, uuid: string): Key => of('mapping-shard-lease', place, uuid),
  account: (place: Place): Key => of('account', place),
  allAccounts: encodeKey(service, 'account'),
  layer: (place: Place, name: string): Key => of('layer', place, name),
  layers: (place: Place): Key => of('layer', place),
  layerVersion: (place: Place, name: string, version: number): Key =>
    encodeKey(service, 'layer-version', place.account, place.region, name, version),
  layerVersions: (place: Place, name: string): Key => of('layer-version', place, name),
  layerPolicy: (place: Place, name: string, version: number): Key =>
    encodeKey(service, 'layer-policy', place.account, place.region, name, version),
  codeSigning: (place: Place, id: string): Key => of('code-signing', place, id),
  codeSignings: (place: Place): Key => of('code-signing', place),
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
