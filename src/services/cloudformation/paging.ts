import { limits } from './limits.ts';
import { invalid } from './rules/errors.ts';

/** One page of a list, and the token for the next. Tokens hold a position; a foreign one is refused. */
export function page<T>(items: readonly T[], token: string | undefined, size: number = limits.pageSize): Page<T> {
  const from = token === undefined ? 0 : positionIn(token);
  const next = from + size;
  return { items: items.slice(from, next), nextToken: next < items.length ? tokenFor(next) : undefined };
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly nextToken: string | undefined;
}

export function tokenFor(position: number): string {
  return Buffer.from(`p${position}`).toString('base64url');
}

/** @throws ValidationError */
export function positionIn(token: string): number {
  const match = /^p(\d{1,15})$/.exec(Buffer.from(token, 'base64url').toString('utf8'));
  if (match === null) throw invalid('Invalid NextToken.');
  return Number(match[1]);
}
