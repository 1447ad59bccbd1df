import { encodeKey, extendKey } from '../../src/kernel/store/keys.ts';

/** What the writer reports. */
export type Acknowledged =
  | { readonly kind: 'created'; readonly name: string; readonly position: number; readonly version: number }
  | { readonly kind: 'claimed'; readonly id: string; readonly attempts: number; readonly token: number }
  | { readonly kind: 'finished'; readonly id: string };

/** Where the writer writes. */
export const names = {
  commits: encodeKey('commits'),
  /** Due entries there are. */
  waiting: encodeKey('waiting'),
  log: encodeKey('log'),
  queue: encodeKey('queue'),
  lefts: encodeKey('left'),
  rights: encodeKey('right'),
  left: (name: string) => extendKey(encodeKey('left'), name),
  right: (name: string) => extendKey(encodeKey('right'), name),
  done: (id: string) => extendKey(encodeKey('done'), id),
} as const;

export function idOf(name: string): Buffer {
  return Buffer.from(name);
}
