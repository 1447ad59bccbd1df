import type { Commit, CommitResult } from '../../kernel/store/contract.ts';
import type { RequestContext } from '../../platform/context.ts';
import type { Handler, Platform } from '../../platform/service.ts';
import { AwsError } from '../../wire/errors.ts';
import { RawJson } from '../../wire/raw-json.ts';
import { type DynamoDbLimits, limitsOf } from './limits.ts';
import { KeyedLocks } from './locks.ts';
import { RuleError } from './rules/errors.ts';
import { itemToJson } from './rules/item-json.ts';
import type { Item } from './rules/values.ts';
import { ShardTurn, type Table, Tables } from './tables.ts';
import { Throughput } from './throughput.ts';
import { Transactions } from './transact.ts';

/** What the operations of one cloud's DynamoDB share. */
export interface Environment {
  readonly platform: Platform;
  readonly limits: DynamoDbLimits;
  readonly tables: Tables;
  readonly locks: KeyedLocks;
  readonly transactions: Transactions;
  /** Undefined: nothing is throttled. */
  readonly throughput: Throughput | undefined;
  readonly shards: ShardTurn;
}

export function createEnvironment(platform: Platform): Environment {
  const { store, clock } = platform;
  const limits = limitsOf(platform.limits);
  return {
    platform,
    limits,
    tables: new Tables(store, clock),
    locks: new KeyedLocks(),
    transactions: new Transactions(),
    throughput: platform.limits === 'aws' ? new Throughput(clock, limits) : undefined,
    shards: new ShardTurn(store),
  };
}

export type Place = Pick<RequestContext, 'account' | 'region'>;

/** Losing against others so often means that something is wrong; the client may try again. */
const mostAttempts = 50;

/**
 * Carries out a transaction: `attempt` reads, decides and commits, and answers undefined when its commit lost against
 * another's; then it starts over.
 */
export async function untilCommitted<T extends object>(attempt: () => Promise<T | undefined>): Promise<T> {
  for (let attempts = 0; attempts < mostAttempts; attempts++) {
    const done = await attempt();
    if (done !== undefined) return done;
  }
  throw tooContended();
}

/** The error of a write that kept losing: modelled, 500, and tried again by every SDK. */
export function tooContended(): AwsError {
  return new AwsError('InternalServerError', 'The request lost against too many others. Please try again.', {
    status: 500,
  });
}

/** Commits; when that loses, forgets the tables it stood on, so that the next attempt reads them again. */
export async function commitOn(env: Environment, tables: readonly Table[], commit: Commit): Promise<CommitResult> {
  const result = await env.platform.store.commit(commit);
  if (!result.ok) for (const table of tables) env.tables.forget(table);
  return result;
}

type DynamoDbHandler = Handler<'dynamodb', never>;

/** Makes handlers of functions that throw RuleErrors: the one place where they become AWS's errors. */
export function withAwsErrors<H extends object>(handlers: H): H {
  const wrapped = Object.entries(handlers).map(([name, handler]) => [name, throwingAwsErrors(handler)]);
  return Object.fromEntries(wrapped) as H;
}

function throwingAwsErrors(handler: DynamoDbHandler): DynamoDbHandler {
  return async (context, input) => {
    try {
      return await handler(context, input);
    } catch (error) {
      throw error instanceof RuleError ? awsErrorOf(error) : error;
    }
  };
}

function awsErrorOf({ code, message, fields }: RuleError): AwsError {
  if (fields === undefined) return new AwsError(code, message);
  const { Item: item, ...others } = fields;
  const shown = item === undefined ? others : { ...others, Item: new RawJson(itemToJson(item as Item)) };
  return new AwsError(code, message, { fields: shown });
}

/** What AWS has and this service does not yet: said, not skipped. */
export function notBuilt(what: string): AwsError {
  return new AwsError('NotImplemented', `${what} is not built in Unkai. See src/services/dynamodb/README.md.`, {
    status: 501,
    fault: 'Receiver',
  });
}
