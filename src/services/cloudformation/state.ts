import type { LiveResource } from '../../deploy/contract.ts';
import type { StackEvent, StackOutput, StateChange } from '../../deploy/engine-state.ts';
import type { ParameterValue } from '../../deploy/parameters.ts';
import type { Change } from '../../deploy/plan.ts';
import type { Key, KeyRange, Store, Version } from '../../kernel/store/contract.ts';
import { encodeKey, extendKey, prefixRange } from '../../kernel/store/keys.ts';
import type { Caller, Principal } from '../../platform/context.ts';
import type { Place } from './rules/names.ts';

/**
 * What is on disk. A stack's name points to its id until it is deleted; all else stands under the id.
 *
 * | key | value |
 * | cloudformation name account region name            | { id } |
 * | cloudformation stack account region id             | StackRecord |
 * | cloudformation template account region id template | TemplateRecord |
 * | cloudformation operation account region id operation | OperationRecord |
 * | cloudformation cancel account region id operation  | CancelRecord: the running operation is to stop |
 * | cloudformation resources account region id revision | ResourcesRecord |
 * | cloudformation set account region id changeSet     | ChangeSetRecord |
 * | cloudformation export account region name          | ExportRecord |
 * | cloudformation import account region name id       | { stackName }: the stack of this id imports the export |
 * | cloudformation response token                      | ResponseRecord |
 *
 * Logs: `cloudformation events … id` holds EventRecords for as long as the stack is known; `cloudformation journal … id
 * operation` holds JournalRecords, the engine's truth of an operation, until the next one begins.
 */
export const keys = {
  name: (place: Place, name: string): Key => of('name', place, name),
  names: (place: Place): KeyRange => prefixRange(of('name', place)),
  stack: (place: Place, id: string): Key => of('stack', place, id),
  stacks: (place: Place): KeyRange => prefixRange(of('stack', place)),
  template: (place: Place, id: string, template: string): Key => of('template', place, id, template),
  operation: (place: Place, id: string, operation: string): Key => of('operation', place, id, operation),
  cancel: (place: Place, id: string, operation: string): Key => of('cancel', place, id, operation),
  resources: (place: Place, id: string, revision: string): Key => of('resources', place, id, revision),
  changeSet: (place: Place, id: string, changeSet: string): Key => of('set', place, id, changeSet),
  changeSets: (place: Place, id: string): KeyRange => prefixRange(of('set', place, id)),
  allChangeSets: (place: Place): KeyRange => prefixRange(of('set', place)),
  export: (place: Place, name: string): Key => of('export', place, name),
  exports: (place: Place): KeyRange => prefixRange(of('export', place)),
  import: (place: Place, name: string, id: string): Key => of('import', place, name, id),
  importsOf: (place: Place, name: string): KeyRange => prefixRange(of('import', place, name)),
  response: (token: string): Key => encodeKey('cloudformation', 'response', token),
  events: (place: Place, id: string): Key => of('events', place, id),
  journal: (place: Place, id: string, operation: string): Key => of('journal', place, id, operation),
  /** Everything of one kind that stands under a stack's id. */
  under: (kind: 'template' | 'operation' | 'cancel' | 'resources' | 'set', place: Place, id: string): KeyRange =>
    prefixRange(of(kind, place, id)),
};

export interface StackRecord extends Place {
  readonly id: string;
  readonly arn: string;
  readonly name: string;
  readonly createdAtMs: number;
  readonly updatedAtMs?: number;
  readonly deletedAtMs?: number;
  readonly status: string;
  readonly reason?: string;
  readonly setup: StackSetup;
  readonly outputs: readonly StackOutput[];
  readonly disableRollback: boolean;
  readonly timeoutMinutes?: number;
  readonly terminationProtection: boolean;
  readonly parentArn?: string;
  readonly rootArn?: string;
  readonly changeSetArn?: string;
  /** The latest operation; undefined for a stack that only a change set has begun. */
  readonly operation?: string;
  /** Names the ResourcesRecord of what the latest ended operation has left. */
  readonly resources?: string;
}

/** What an operation makes of a stack, and a rollback takes back. */
export interface StackSetup {
  /** Names the TemplateRecord; undefined for a stack without one yet. */
  readonly template?: string;
  readonly description?: string;
  readonly parameters: readonly StoredParameter[];
  readonly tags: readonly { readonly Key: string; readonly Value: string }[];
  readonly capabilities: readonly string[];
  readonly notificationArns: readonly string[];
  readonly roleArn?: string;
  /** Exports that the template imports. */
  readonly imports: readonly string[];
}

export interface StoredParameter {
  readonly key: string;
  readonly value: ParameterValue;
  readonly text: string;
  readonly resolvedText?: string;
  readonly noEcho: boolean;
}

/** A text of up to 64 KiB stands here, a longer one in the blob store. */
export type StoredText = { readonly inline: string } | { readonly blob: string };

export interface TemplateRecord {
  readonly original: StoredText;
  /** JSON, after the transforms. */
  readonly processed: StoredText;
  readonly transforms: readonly string[];
}

export interface OperationRecord {
  readonly id: string;
  readonly kind: 'CREATE' | 'UPDATE' | 'DELETE';
  readonly startedAtMs: number;
  readonly caller: { readonly account: string; readonly region: string; readonly principal: Principal };
  readonly setup: StackSetup;
  /** Of an UPDATE: what its rollback brings back. */
  readonly before?: Pick<StackRecord, 'setup' | 'outputs' | 'updatedAtMs' | 'changeSetArn' | 'disableRollback'>;
  /** The resources when it began. */
  readonly resources?: string;
  readonly onFailure: 'ROLLBACK' | 'DELETE' | 'DO_NOTHING';
  readonly retainExceptOnCreate: boolean;
  readonly retain: readonly string[];
  readonly deadlineMs?: number;
  readonly clientToken?: string;
  /** Raised by each run: an older run's commits fail. */
  readonly run: number;
  readonly ended: boolean;
}

export interface CancelRecord {
  readonly reason: string;
  readonly thenDelete: boolean;
}

export interface ResourcesRecord {
  readonly live: readonly LiveResource[];
  readonly leftOver: readonly LiveResource[];
  readonly rows: readonly ResourceRow[];
}

/** A resource as it is shown. */
export interface ResourceRow {
  readonly logicalId: string;
  readonly physicalId: string;
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly atMs: number;
}

export interface JournalRecord {
  readonly change: StateChange;
  readonly rows: readonly ResourceRow[];
}

export interface EventRecord extends Omit<StackEvent, 'properties'> {
  readonly id: string;
  readonly atMs: number;
  /** JSON text. */
  readonly properties?: string;
  readonly clientToken?: string;
}

export interface ChangeSetRecord {
  readonly id: string;
  readonly arn: string;
  readonly name: string;
  readonly stackId: string;
  readonly description?: string;
  readonly type: 'CREATE' | 'UPDATE';
  readonly createdAtMs: number;
  readonly status: 'CREATE_COMPLETE' | 'FAILED';
  readonly reason?: string;
  readonly executionStatus:
    | 'AVAILABLE'
    | 'UNAVAILABLE'
    | 'EXECUTE_IN_PROGRESS'
    | 'OBSOLETE'
    | 'EXECUTE_COMPLETE'
    | 'EXECUTE_FAILED';
  readonly setup: StackSetup;
  readonly changes: readonly Change[];
  readonly onFailure?: 'ROLLBACK' | 'DELETE' | 'DO_NOTHING';
}

export interface ExportRecord {
  readonly name: string;
  readonly stackId: string;
  readonly stackArn: string;
  readonly stackName: string;
  readonly value: string;
}

/** What a custom resource was asked, under the request's id; the answer once it is there. */
export interface ResponseRecord {
  readonly deadlineMs: number;
  /** The function has been invoked for sure. */
  readonly asked: boolean;
  readonly answer?: {
    readonly Status: 'SUCCESS' | 'FAILED';
    readonly Reason?: string;
    readonly PhysicalResourceId?: string;
    readonly Data?: Readonly<Record<string, unknown>>;
  };
}

/** A record with the version that a commit may check. */
export interface Stored<T> {
  readonly record: T;
  readonly version: Version;
}

export async function read<T>(store: Store, key: Key): Promise<Stored<T> | undefined> {
  const entry = await store.get(key);
  return entry && { record: decode<T>(entry.value), version: entry.version };
}

export async function readAll<T>(store: Store, range: KeyRange): Promise<readonly T[]> {
  return (await store.list(range)).map((entry) => decode<T>(entry.value));
}

export function encode(record: object): Buffer {
  return Buffer.from(JSON.stringify(record), 'utf8');
}

export function decode<T>(value: Uint8Array): T {
  return JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8')) as T;
}

/** The part of a caller that outlives its request. */
export function kept({ account, region, principal }: Caller): OperationRecord['caller'] {
  return { account, region, principal };
}

function of(kind: string, { account, region }: Place, ...rest: readonly string[]): Key {
  const prefix = encodeKey('cloudformation', kind, account, region);
  return rest.length === 0 ? prefix : extendKey(prefix, ...rest);
}
