import { expect, it } from 'vitest';
import { RecentResults } from './recent.ts';

it('computes once, keeps what is used, forgets what is not, and does not remember failures', () => {
  const calls: string[] = [];
  const recent = new RecentResults<string>(2);
  const ask = (text: string) =>
    recent.get(text, (t) => {
      calls.push(t);
      if (t === 'bad') throw new Error('bad');
      return t.toUpperCase();
    });
  for (const text of ['a', 'b', 'a', 'c', 'a', 'd', 'a']) expect(ask(text)).toBe(text.toUpperCase());
  expect(calls).toEqual(['a', 'b', 'c', 'd']);
  ask('b');
  expect(calls.at(-1)).toBe('b');
  expect(() => ask('bad')).toThrow();
  expect(() => ask('bad')).toThrow();
  expect(calls.filter((text) => text === 'bad')).toHaveLength(2);
});
