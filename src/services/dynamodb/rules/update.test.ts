import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Placeholders } from './bind.ts';
import { bindUpdate } from './bind-update.ts';
import { RuleError } from './errors.ts';
import { bindProjection, compileProjection } from './paths.ts';
import { applyUpdate } from './update.ts';
import { type AttributeMap, type AttributeValue, type Item, mapsEqual, validateAttributes } from './values.ts';

const key: Item = { p: { S: 'k' } };
const S = (text: string): AttributeValue => ({ S: text });
const N = (text: string): AttributeValue => ({ N: text });
const L = (...texts: string[]): AttributeValue => ({ L: texts.map(S) });

function run(text: string, old: Item | undefined, values?: AttributeMap) {
  return applyUpdate(bindUpdate(text, new Placeholders(undefined, values)), key, old);
}

function messageOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof RuleError) return error.message;
    throw error;
  }
  return 'accepted';
}

const INVALID_PATH = 'The document path provided in the update expression is invalid for update';
const WRONG_OPERAND = 'An operand in the update expression has an incorrect data type';
const MISSING = 'The provided expression refers to an attribute that does not exist in the item';
const OVERFLOW = 'Number overflow. Attempting to store a number with magnitude larger than supported range';

describe('updates', () => {
  // ScyllaDB, test/alternator/test_update_expression.py, run against AWS.
  it.each<[string, Item, AttributeMap | undefined, Item]>([
    ['SET b = :v', { a: S('hi') }, { ':v': S('x') }, { a: S('hi'), b: S('x') }],
    ['SET b = a, a = b', { a: S('1'), b: S('2') }, undefined, { a: S('2'), b: S('1') }],
    ['REMOVE a SET b = a', { a: S('1') }, undefined, { b: S('1') }],
    ['SET a = a + :v', { a: N('2') }, { ':v': N('3') }, { a: N('5') }],
    ['SET a = :v - a', { a: N('0.1') }, { ':v': N('0.3') }, { a: N('0.2') }],
    ['SET a = if_not_exists(a, :v) + :v', {}, { ':v': N('2') }, { a: N('4') }],
    ['SET a = if_not_exists(b, if_not_exists(c, :v))', { c: N('3') }, { ':v': N('4') }, { a: N('3'), c: N('3') }],
    ['SET a = list_append(a, :v)', { a: L('x') }, { ':v': L('y') }, { a: L('x', 'y') }],
    ['SET a = list_append(if_not_exists(a, :v), :v)', {}, { ':v': L('y') }, { a: L('y', 'y') }],
    ['SET a[7] = :v', { a: L('1', '2') }, { ':v': S('n') }, { a: L('1', '2', 'n') }],
    [
      'SET a[84] = :a, a[37] = :b, a[17] = :c, a[50] = :d',
      { a: L('1') },
      { ':a': S('a'), ':b': S('b'), ':c': S('c'), ':d': S('d') },
      { a: L('1', 'c', 'b', 'd', 'a') },
    ],
    ['REMOVE a[0], a[2]', { a: L('0', '1', '2', '3') }, undefined, { a: L('1', '3') }],
    ['SET a[1] = :v REMOVE a[0]', { a: L('0', '1') }, { ':v': S('x') }, { a: L('x') }],
    ['REMOVE a[7], b.y, c', { a: L('0'), b: { M: {} } }, undefined, { a: L('0'), b: { M: {} } }],
    ['REMOVE a[0]', { a: L('0') }, undefined, { a: { L: [] } }],
    [
      'SET a.b.c = :v',
      { a: { M: { b: { M: { d: N('1') } } } } },
      { ':v': N('2') },
      { a: { M: { b: { M: { d: N('1'), c: N('2') } } } } },
    ],
    ['SET a[0].b = :v', { a: { L: [{ M: {} }] } }, { ':v': N('2') }, { a: { L: [{ M: { b: N('2') } }] } }],
    ['ADD a :v', { a: N('3') }, { ':v': N('4') }, { a: N('7') }],
    ['ADD a :v', {}, { ':v': N('4') }, { a: N('4') }],
    ['ADD a :v', { a: { SS: ['x', 'y'] } }, { ':v': { SS: ['y', 'z'] } }, { a: { SS: ['x', 'y', 'z'] } }],
    ['ADD a :v', { a: { NS: ['1'] } }, { ':v': { NS: ['1.0', '2'] } }, { a: { NS: ['1', '2'] } }],
    ['DELETE a :v', { a: { NS: ['10', '30'] } }, { ':v': { NS: ['1e1'] } }, { a: { NS: ['30'] } }],
    ['DELETE a :v', { a: { SS: ['x'] }, b: N('1') }, { ':v': { SS: ['x'] } }, { b: N('1') }],
    ['DELETE a :v', { b: N('1') }, { ':v': { SS: ['x'] } }, { b: N('1') }],
  ])('%s on %j', (text, old, values, expected) => {
    const before = structuredClone(old);
    expect(run(text, { ...key, ...old }, values).item).toEqual({ ...key, ...expected });
    expect(old).toEqual(before);
  });

  it.each<[string, Item, AttributeMap | undefined, string]>([
    ['SET c = z', {}, undefined, MISSING],
    ['SET x = :v, y = x', {}, { ':v': N('1') }, MISSING],
    ['SET a = a + :v', { a: S('x') }, { ':v': N('1') }, WRONG_OPERAND],
    ['SET a = a + :v', {}, { ':v': N('1') }, MISSING],
    ['SET a = list_append(b, :v)', { b: N('7') }, { ':v': L('x') }, WRONG_OPERAND],
    ['SET a.c = :v', { a: S('x') }, { ':v': N('1') }, INVALID_PATH],
    ['SET b.c = :v', { b: L('x') }, { ':v': N('1') }, INVALID_PATH],
    ['SET c.c = :v', {}, { ':v': N('1') }, INVALID_PATH],
    ['SET a[0] = :v', { a: { M: {} } }, { ':v': N('1') }, INVALID_PATH],
    ['REMOVE c.c', {}, undefined, INVALID_PATH],
    ['REMOVE b[0]', {}, undefined, INVALID_PATH],
    ['ADD a :v', { a: S('x') }, { ':v': N('1') }, WRONG_OPERAND],
    ['ADD a :v', { a: { SS: ['x'] } }, { ':v': { NS: ['1'] } }, WRONG_OPERAND],
    ['DELETE a :v', { a: S('x') }, { ':v': { SS: ['x'] } }, WRONG_OPERAND],
    ['ADD a :v', { a: N(`9${'0'.repeat(125)}`) }, { ':v': N('9e125') }, OVERFLOW],
    ['SET a = :v + :w', {}, { ':v': N('1e50'), ':w': N('1') }, OVERFLOW],
    ['SET a = :v', {}, { ':v': S('x'.repeat(409_600)) }, 'Item size to update has exceeded the maximum allowed size'],
  ])('%s on %j is refused', (text, old, values, message) => {
    expect(messageOf(() => run(text, { ...key, ...old }, values))).toBe(message);
  });

  it('refuses documents made too deep', () => {
    const nest = (levels: number): AttributeValue => (levels === 0 ? S('x') : { M: { n: nest(levels - 1) } });
    const old = { ...key, a: { M: { b: { M: {} } } } };
    expect(messageOf(() => run('SET a.b.c = :v', old, { ':v': nest(29) }))).toBe('accepted');
    expect(messageOf(() => run('SET a.b.c = :v', old, { ':v': nest(30) }))).toBe(
      'Nesting Levels have exceeded supported limits',
    );
  });

  it('makes an item of the key where there is none, unless it only takes away', () => {
    expect(run('SET a = :v', undefined, { ':v': N('1') })).toEqual({
      item: { ...key, a: N('1') },
      updatedOld: undefined,
      updatedNew: { a: N('1') },
    });
    expect(applyUpdate([], key, undefined).item).toEqual(key);
    for (const text of ['REMOVE a', 'REMOVE a.b', 'REMOVE a[0]']) expect(run(text, undefined).item).toBeUndefined();
    expect(run('DELETE a :v', undefined, { ':v': { SS: ['x'] } }).item).toBeUndefined();
    expect(messageOf(() => run('SET a.b = :v', undefined, { ':v': N('1') }))).toBe(INVALID_PATH);
  });

  // ScyllaDB, test/alternator/test_returnvalues.py (test_update_item_returnvalues_nested), run against AWS.
  const old: Item = { ...key, a: { M: { b: S('dog'), c: { L: [N('1'), N('2'), N('3')] } } }, d: S('cat') };
  it.each<[string, Item | undefined, Item | undefined]>([
    ['SET a.b = :s', { a: { M: { b: S('dog') } } }, { a: { M: { b: S('new') } } }],
    [
      'SET a.c[1] = :n, a.b = :s',
      { a: { M: { c: { L: [N('2')] }, b: S('dog') } } },
      { a: { M: { c: { L: [N('9')] }, b: S('new') } } },
    ],
    ['REMOVE a.c[1], a.c[3]', { a: { M: { c: { L: [N('2')] } } } }, { a: { M: { c: { L: [N('3')] } } } }],
    ['SET a.x = :n', undefined, { a: { M: { x: N('9') } } }],
    ['SET a.c[100] = :n', undefined, undefined],
    ['REMOVE d', { d: S('cat') }, undefined],
    ['SET d = :s, e = :n', { d: S('cat') }, { d: S('new'), e: N('9') }],
  ])('%s answers what it updated', (text, updatedOld, updatedNew) => {
    const result = run(text, old, Object.fromEntries(Object.entries({ ':s': S('new'), ':n': N('9') })));
    expect(result.updatedOld).toEqual(updatedOld);
    expect(result.updatedNew).toEqual(updatedNew);
  });
});

describe('projection', () => {
  const item: Item = {
    a: { M: { b: { L: [N('2'), N('4'), { M: { x: S('hi'), y: S('yo') } }] }, c: N('5') } },
    b: S('hello'),
    l: L('0', '1', '2'),
  };
  // ScyllaDB, test/alternator/test_projection_expression.py, run against AWS.
  it.each<[string, Item]>([
    ['b', { b: S('hello') }],
    ['a.b[0], a.c', { a: { M: { b: { L: [N('2')] }, c: N('5') } } }],
    ['a.b[2].y, a.b[0]', { a: { M: { b: { L: [N('2'), { M: { y: S('yo') } }] } } } }],
    ['l[2], l[0], l[9]', { l: L('0', '2') }],
    ['a.x, a.b[0], x, a.b[3].x', { a: { M: { b: { L: [N('2')] } } } }],
    ['a.x', {}],
    ['b.c, l.x', {}],
  ])('%s', (text, expected) => {
    const paths = bindProjection(text, new Placeholders(undefined, undefined));
    expect(compileProjection(paths)(item)).toEqual(expected);
  });

  const path = fc.array(fc.oneof(fc.constantFrom('a', 'b', 'c'), fc.nat(3)), { maxLength: 3 });
  const value: fc.Arbitrary<AttributeValue> = fc.letrec<{ value: AttributeValue }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      fc.nat(9).map((n) => N(String(n))),
      fc.array(tie('value'), { maxLength: 4 }).map((elements) => ({ L: elements })),
      fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('value')).map((members) => ({ M: { ...members } })),
    ),
  })).value;
  const anyItem = fc.dictionary(fc.constantFrom('a', 'b', 'c'), value).map((attributes): Item => ({ ...attributes }));
  const paths = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), path), { minLength: 1, maxLength: 3 });
  const textOf = ([head, rest]: readonly [string, readonly (string | number)[]]) =>
    head + rest.map((element) => (typeof element === 'number' ? `[${element}]` : `.${element}`)).join('');

  it('of map paths done twice is as done once, and of all names is the item', () => {
    fc.assert(
      fc.property(anyItem, paths, (subject, chosen) => {
        const text = chosen.map(([head, rest]) => textOf([head, rest.filter((e) => typeof e === 'string')])).join(', ');
        let project: (i: Item) => Item;
        try {
          project = compileProjection(bindProjection(text, new Placeholders(undefined, undefined)));
        } catch (error) {
          expect(error).toBeInstanceOf(RuleError);
          return;
        }
        const once = project(subject);
        expect(mapsEqual(project(once), once)).toBe(true);
        expect(mapsEqual(compileProjection([['a'], ['b'], ['c']])(subject), subject)).toBe(true);
      }),
    );
  });

  it('after SET shows the value set, and REMOVE undoes SET of something new; items stay valid and unchanged', () => {
    fc.assert(
      fc.property(anyItem, paths, value, (subject, [chosen], added) => {
        const target = textOf(chosen!);
        const before = structuredClone(subject);
        const set = messageOf(() => run(`SET ${target} = :v`, subject, { ':v': added }));
        expect([INVALID_PATH, 'accepted']).toContain(set);
        if (set !== 'accepted') return;
        const { item, updatedNew } = run(`SET ${target} = :v`, subject, { ':v': added });
        expect(validateAttributes(item!)).toBe(item);
        expect(subject).toEqual(before);
        const project = compileProjection(bindProjection(target, new Placeholders(undefined, undefined)));
        const existed = Object.keys(project(subject)).length > 0;
        const last = chosen![1].at(-1);
        if (typeof last !== 'number' || existed) {
          expect(mapsEqual(updatedNew!, project(item!))).toBe(true);
        }
        if (!existed && typeof last !== 'number') {
          expect(mapsEqual(run(`REMOVE ${target}`, item!).item!, subject)).toBe(true);
        }
      }),
    );
  });
});
