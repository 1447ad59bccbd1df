import type { Platform } from '../../platform/service.ts';
import { noStack, noStackWithId, tooContended } from './rules/errors.ts';
import { idInStackArn, isArn, type Place } from './rules/names.ts';
import { keys, read, type StackRecord, type Stored } from './state.ts';

/** What the operations of one cloud's CloudFormation share. */
export interface Environment {
  readonly platform: Platform;
}

/** A stack by its ARN, also a deleted one, or by the name of one that is not deleted. */
export async function findStack(
  { platform: { store } }: Environment,
  place: Place,
  nameOrArn: string,
): Promise<Stored<StackRecord> | undefined> {
  const id = isArn(nameOrArn)
    ? idInStackArn(nameOrArn, place)
    : (await read<{ id: string }>(store, keys.name(place, nameOrArn)))?.record.id;
  return id === undefined ? undefined : read<StackRecord>(store, keys.stack(place, id));
}

/** @throws ValidationError "Stack with id X does not exist" */
export async function requireStackWithId(
  env: Environment,
  place: Place,
  nameOrArn: string,
): Promise<Stored<StackRecord>> {
  const found = await findStack(env, place, nameOrArn);
  if (found === undefined) throw noStackWithId(nameOrArn);
  return found;
}

/** @throws ValidationError "Stack [X] does not exist" */
export async function requireStack(env: Environment, place: Place, nameOrArn: string): Promise<Stored<StackRecord>> {
  const found = await findStack(env, place, nameOrArn);
  if (found === undefined) throw noStack(nameOrArn);
  return found;
}

const mostAttempts = 50;

/** Carries out a transaction: starts over while `attempt` answers undefined, for a commit that lost against another. */
export async function transact<T extends object>(attempt: () => Promise<T | undefined>): Promise<T> {
  for (let attempts = 0; attempts < mostAttempts; attempts++) {
    const done = await attempt();
    if (done !== undefined) return done;
  }
  throw tooContended();
}
