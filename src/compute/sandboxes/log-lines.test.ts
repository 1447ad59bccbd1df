import { expect, it } from 'vitest';
import { LogLines } from './log-lines.ts';

function lines(pieces: (string | Buffer)[]): string[] {
  const events: string[] = [];
  const cut = new LogLines((event) => events.push(event));
  for (const piece of pieces) cut.push(Buffer.from(piece as string));
  cut.flush();
  return events;
}

it('cuts at line feeds, wherever the pieces were cut', () => {
  const text = 'one\ntwo Ω😀\r\n\nlast';
  const expected = ['one', 'two Ω😀', '', 'last'];
  const bytes = Buffer.from(text);
  for (let at = 0; at <= bytes.length; at++)
    expect(lines([bytes.subarray(0, at), bytes.subarray(at)])).toEqual(expected);
});

it('keeps the lines of one event together', () => {
  expect(lines(['a\0b\nc\n'])).toEqual(['a\nb', 'c']);
});

it('cuts what is too long between characters, and loses nothing', () => {
  const text = 'x' + '😀'.repeat(200_000);
  const pieces = lines([text, '\nafter\n']);
  expect(pieces.at(-1)).toBe('after');
  expect(pieces.slice(0, -1).join('')).toBe(text);
  expect(pieces.length).toBe(5);
  expect(Math.max(...pieces.map((piece) => Buffer.byteLength(piece)))).toBeLessThanOrEqual(262_144);
});

it('takes bytes that are no text', () => {
  const pieces = lines([Buffer.alloc(600_000, 0xbf)]);
  expect(pieces.map((piece) => piece.length)).toEqual([262_144, 262_144, 75_712]);
});
