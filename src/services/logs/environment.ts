import type { Clock } from '../../kernel/clock/contract.ts';
import type { Random } from '../../kernel/random/random.ts';
import type { Commit, Store } from '../../kernel/store/contract.ts';
import { AwsError } from '../../wire/errors.ts';
import { type GroupRecord, keys, type Place, read, type Stored, type StreamRecord } from './state.ts';

/** What the operations stand on. */
export interface Environment {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
}

export async function loadGroup(store: Store, place: Place, name: string): Promise<Stored<GroupRecord>> {
  const group = await read<GroupRecord>(store, keys.group(place, name));
  if (group === undefined) throw noGroup();
  return group;
}

export async function loadStream(store: Store, groupId: string, name: string): Promise<Stored<StreamRecord>> {
  const stream = await read<StreamRecord>(store, keys.stream(groupId, name));
  if (stream === undefined) throw noStream();
  return stream;
}

/** LocalStack's recordings (test_resource_does_not_exist, 2026-02-03). */
export function noGroup(): AwsError {
  return new AwsError('ResourceNotFoundException', 'The specified log group does not exist.');
}

export function noStream(): AwsError {
  return new AwsError('ResourceNotFoundException', 'The specified log stream does not exist.');
}

export function invalidParameter(message: string): AwsError {
  return new AwsError('InvalidParameterException', message);
}

export function groupArn({ account, region }: Place, name: string): string {
  return `arn:aws:logs:${region}:${account}:log-group:${name}`;
}

/** A group by its name or by its ARN, with or without the `:*` that some operations put behind it. */
export function groupNameOf({ account, region }: Place, { logGroupName, logGroupIdentifier }: GroupReference): string {
  if (logGroupName !== undefined && logGroupIdentifier !== undefined)
    throw new AwsError('ValidationException', 'LogGroup name and LogGroup ARN are mutually exclusive parameters.');
  const text = logGroupName ?? logGroupIdentifier;
  if (text === undefined) throw invalidParameter('Expected LogGroupName or LogGroupIdentifier');
  if (!text.startsWith('arn:')) return text;
  const own = groupArn({ account, region }, '');
  // A group of another account or region is not here.
  if (!text.startsWith(own)) throw noGroup();
  return text.slice(own.length).replace(/:\*$/, '');
}

export interface GroupReference {
  readonly logGroupName?: string | undefined;
  readonly logGroupIdentifier?: string | undefined;
}

export interface Outcome<T> {
  readonly answer: T;
  readonly commit?: Commit;
}

const maxAttempts = 50;

/** Runs an operation as a transaction: it reads and decides anew when another commit was faster. */
export async function transact<T>(store: Store, decide: () => Promise<Outcome<T>>): Promise<T> {
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const { answer, commit } = await decide();
    if (commit === undefined || (await store.commit(commit)).ok) return answer;
  }
  throw new AwsError('OperationAbortedException', 'Multiple requests to update the same resource were in conflict.');
}
