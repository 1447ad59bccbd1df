import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ExpressionNames, Placeholders } from './bind.ts';
import { bindCondition } from './bind-condition.ts';
import { bindUpdate } from './bind-update.ts';
import { RuleError } from './errors.ts';
import { compileCondition } from './evaluate.ts';
import { bindProjection } from './paths.ts';
import { isReservedWord, reservedWordCount } from './reserved.ts';
import type { AttributeMap, Item } from './values.ts';

const bytes = (text: string) => Uint8Array.from(Buffer.from(text, 'base64'));
const operandValues: Record<string, AttributeMap[string]> = {
  ':S': { S: 'a' },
  ':N': { N: '1' },
  ':B': { B: bytes('YQ==') },
  ':BOOL': { BOOL: true },
  ':NULL': { NULL: true },
  ':SS': { SS: ['a'] },
  ':NS': { NS: ['1'] },
  ':BS': { BS: [bytes('YQ==')] },
  ':M': { M: {} },
  ':L': { L: [] },
};

function messageOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof RuleError) return error.message;
    throw error;
  }
  return 'accepted';
}

const condition = (text: string, names?: ExpressionNames, values?: AttributeMap) =>
  messageOf(() => bindCondition('FilterExpression', text, new Placeholders(names, values)));
const update = (text: string, names?: ExpressionNames, values?: AttributeMap) =>
  messageOf(() => bindUpdate(text, new Placeholders(names, values)));
const projection = (text: string, names?: ExpressionNames) =>
  messageOf(() => bindProjection(text, new Placeholders(names, undefined)));

describe('syntax errors', () => {
  // Each observed on AWS; the sources stand in lexer.ts.
  it.each([
    ['INVALID SYNTAX HERE', 'INVALID', 'INVALID SYNTAX'],
    ['ADD hits : incr', ':', 'hits : incr'],
    ['SET _123 = :v', '_', 'SET _123'],
    ['SET a = :b,', '<EOF>', ','],
    ['SET a = b + c + d', '+', 'c + d'],
  ])('update %s', (text, token, near) => {
    expect(update(text)).toBe(`Invalid UpdateExpression: Syntax error; token: "${token}", near: "${near}"`);
  });

  it('projection !!! INVALID !!!', () => {
    expect(projection('!!! INVALID !!!')).toBe('Invalid ProjectionExpression: Syntax error; token: "!", near: "!!"');
  });

  // dynalite, test/updateItem.js "syntax errors in UpdateExpression".
  it.each([
    'whatever',
    'set a',
    'add a',
    'delete a',
    'set a=set',
    'remove a = b',
    'add a = b',
    'delete a b',
    'add abort b',
    'delete a if_not_exist(b)',
    'remove a b',
    'set a b',
    'set :a = b',
    'add :a b',
    'remove :a',
    'set a = b / c',
    'set a = b * c',
    'set a[1] = "eight"',
    'set a[1] = 1',
    'SET a = if_not_exist(a, 100)',
    'SET if_not_exist(a, b) = a',
    'set (a = (b + c))',
    'set a = (b.c).d + e',
    'set a = (b.c)[0] + e',
    'set a = b + c + d',
    'SET hi-there = :v',
    'SET a[-1] = :v',
    'SET a[] = :v',
    'SET a[:v] = :v',
    'SET a[#v] = :v',
    'SET b = if_not_exists(c, d + e)',
  ])('update %s', (text) => {
    expect(update(text)).toMatch(/^Invalid UpdateExpression: Syntax error; token: "/);
  });

  // dynalite, test/scan.js "syntax errors".
  it.each([
    'things are not gonna be ok',
    'a > 4',
    'attribute_exists(Pictures-RearView)',
    'attribute_exists("Pictures.RearView")',
    'attribute_exists(Pictures..RearView)',
    'attribute_exists(Pi#ctures.RearView)',
    'attribute_exists(asdf[a])',
    'a in b, c',
    'a > between',
    'a in b',
    'a in (b,c,)',
    'a in ()',
    '(a)between(b.(c.d))and(c)',
    '(a)between(b.c.d)and((c)',
    '#$.b > a',
    'a > :things.stuff',
    'b[:a] > a',
    'b[#_] > a',
    'ü > a',
    '(a)between(b.c[4.5].#d)and(:a)',
    'size(a).b > a',
    '(size(a)).b > a',
    'size(a)[0] > a',
    '(size(a))[0] > a',
    'a',
    ':val',
    'NOT a',
    'a AND :val',
    'a OR NOT :val',
    'a = :val OR NOT :val',
    'a != b',
    '(a = b',
    'a = b)',
  ])('condition %s', (text) => {
    expect(condition(text)).toMatch(/^Invalid FilterExpression: Syntax error; token: "/);
  });
});

describe('what AWS refuses in the text alone', () => {
  // dynalite, test/scan.js "redundant parentheses".
  it.each([
    'a=a and a > ((views))',
    '(a)between(((b.c)).d)and(c)',
    'a > whatever((:things), ((a)))',
    'a=a AND ((a=a AND a=a)) AND a=a',
    'a=a OR ((a=a OR a=a)) OR a=a',
    'a=a AND ((a=a AND (a=a AND a=a)))',
    '((a <> :b))',
    `${'('.repeat(1000)}a<b${')'.repeat(1000)}`,
  ])('redundant parentheses: %s', (text) => {
    expect(condition(text)).toBe('Invalid FilterExpression: The expression has redundant parentheses;');
  });

  it.each([
    '(a <> :S)',
    '((a <> :S) and b <> :S)',
    '(a = :S AND (b = :S))',
    '(a.b).c = :S',
    'NOT (NOT (a = :S))',
    '(a) = (:S)',
  ])('parentheses that are fine: %s', (text) => {
    expect(condition(text, undefined, { ':S': { S: 'x' } })).toBe('accepted');
  });

  it.each<readonly [string, string]>([
    ['a=a and whatever((:things)) > a', 'Invalid function name; function: whatever'],
    ['attRIbute_exIsts((views), #a)', 'Invalid function name; function: attRIbute_exIsts'],
    ...['attribute_exists((things), (#a)) > b', 'attribute_type(things, :a) > b', 'begins_with(things, a) > b'].map(
      (text) => [text, misused(text.split('(')[0]!)] as const,
    ),
    ['size(contains(a, b)) > a', misused('contains')],
    ['size(things)', misused('size')],
    ['a between b and attribute_exists(things)', misused('attribute_exists')],
    ['a in (b, attribute_exists(things))', misused('attribute_exists')],
    ['if_not_exists(a, b) = :c', misused('if_not_exists')],
    ['attribute_exists(views, #a)', 'Attribute name is a reserved keyword; reserved keyword: views'],
    [':a < abOrT', 'Attribute name is a reserved keyword; reserved keyword: abOrT'],
    [Array(302).fill('a<b').join(' or '), 'The expression contains too many operators; operator count: 301'],
    [`${'NOT '.repeat(1000)}a<b`, 'The expression contains too many operators; operator count: 301'],
    [`a = b${' '.repeat(4092)}`, 'Expression size has exceeded the maximum allowed size; expression size: 4097'],
    [`${'f('.repeat(500)}a${')'.repeat(500)} = b`, 'Invalid function name; function: f'],
    ['', 'The expression can not be empty;'],
  ])('%s', (text, detail) => {
    const expected = text.startsWith('f(')
      ? /Invalid function name|redundant parentheses/
      : `Invalid FilterExpression: ${detail}`;
    if (typeof expected === 'string') expect(condition(text)).toBe(expected);
    else expect(condition(text)).toMatch(expected);
  });

  it.each([
    [' set #c = :c set abOrt = true ', 'Attribute name is a reserved keyword; reserved keyword: abOrt'],
    [' remove Absolute ', 'Attribute name is a reserved keyword; reserved keyword: Absolute'],
    ['set #c = if_not_exist(:c) set c = d', 'Invalid function name; function: if_not_exist'],
    ['SET x = LIST_APPEND(:a, :b)', 'Invalid function name; function: LIST_APPEND'],
    ['SET x = list_append(list_append(:a, :b), :c)', misused('list_append')],
    ['set a = #c set c = :d', 'The "SET" section can only be used once in an update expression;'],
    ['remove #d set a = b remove e', 'The "REMOVE" section can only be used once in an update expression;'],
    ['', 'The expression can not be empty;'],
  ])('update: %s', (text, detail) => {
    expect(update(text)).toBe(`Invalid UpdateExpression: ${detail}`);
  });

  it.each([
    [`a${'.b'.repeat(32)}`, 'The document path has too many nesting levels; nesting levels: 33'],
    ['a[99999999999999]', 'List index is not within the allowable range; index: [99999999999999]'],
    ['a, b, a', overlap('[a]', '[a]')],
    ['a.b[0],a', overlap('[a, b, [0]]', '[a]')],
    ['a.b, a[1]', conflict('[a, b]', '[a, [1]]')],
    ['#x', 'An expression attribute name used in the document path is not defined; attribute name: #x'],
  ])('projection: %s', (text, detail) => {
    expect(projection(text)).toBe(`Invalid ProjectionExpression: ${detail}`);
  });

  it('knows 573 reserved words, in any case', () => {
    expect(reservedWordCount).toBe(573);
    expect(['status', 'Name', 'TTL', 'size', 'zone'].every(isReservedWord)).toBe(true);
    expect(['pk', 'statuses', 'id'].some(isReservedWord)).toBe(false);
  });
});

function misused(name: string): string {
  return `The function is not allowed to be used this way in an expression; function: ${name}`;
}
function clash(relation: string, one: string, two: string): string {
  return `Two document paths ${relation} with each other; must remove or rewrite one of these paths; path one: ${one}, path two: ${two}`;
}
function overlap(one: string, two: string): string {
  return clash('overlap', one, two);
}
function conflict(one: string, two: string): string {
  return clash('conflict', one, two);
}

describe('names and values', () => {
  const undefinedName = 'An expression attribute name used in the document path is not defined; attribute name: ';
  const undefinedValue = 'An expression attribute value used in expression is not defined; attribute value: ';
  const operands = (name: string, count: number) =>
    `Incorrect number of operands for operator or function; operator or function: ${name}, number of operands: ${count}`;
  const type = (name: string, operand: string) =>
    `Incorrect operand type for operator or function; operator or function: ${name}, operand type: ${operand}`;
  const distinct = (operator: string) =>
    `The first operand must be distinct from the remaining operands for this operator or function; operator: ${operator}, first operand: [a]`;

  // dynalite, test/scan.js, from "missing attribute names" on.
  it.each<readonly [string, string]>([
    ['attribute_exists(#Pictures.RearView, :a) and a=b', `${undefinedName}#Pictures`],
    ['begins_with(Pictures.#RearView)', `${undefinedName}#RearView`],
    ['(a)between(b.c[45].#d)and(:a)', `${undefinedName}#d`],
    ['begins_with(:hello, #a, #b)', `${undefinedValue}:hello`],
    [':a < :b', `${undefinedValue}:a`],
    ['attribute_exists(things, a) and a=a', operands('attribute_exists', 2)],
    ['attribute_type(things)', operands('attribute_type', 1)],
    ['begins_with(things, size(a), b)', operands('begins_with', 3)],
    ['contains(things)', operands('contains', 1)],
    ['size(things, a) > b', operands('size', 2)],
    ['attribute_type(ab.bc[1].a, SS)', type('attribute_type', '{NS,SS,L,BS,N,M,B,BOOL,NULL,S}')],
    ['attribute_type(a, size(b))', type('attribute_type', 'N')],
    ...['N', 'B', 'BOOL', 'NULL', 'L', 'M', 'SS', 'NS', 'BS'].map(
      (t) => [`attribute_type(a, :${t})`, type('attribute_type', t)] as const,
    ),
    ...['N', 'BOOL', 'NULL', 'L', 'M', 'SS', 'NS', 'BS'].map(
      (t) => [`begins_with(:${t}, a)`, type('begins_with', t)] as const,
    ),
    ...['N', 'BOOL', 'NULL'].map((t) => [`size(:${t}) > a`, type('size', t)] as const),
    ['size(size(a)) > :N', type('size', 'N')],
    ['a < :BOOL', type('<', 'BOOL')],
    [':L >= a', type('>=', 'L')],
    ['a between :BOOL and :BOOL', type('BETWEEN', 'BOOL')],
    [
      'attribute_type(a, :S)',
      'Invalid attribute type name found; type: a, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}',
    ],
    [
      'attribute_exists(:S) and a=a',
      'Operator or function requires a document path; operator or function: attribute_exists',
    ],
    ['a = a AND a = b', distinct('=')],
    ['((a=a) OR (a=b))', distinct('=')],
    ['contains(a, a)', distinct('contains')],
    ['a in (b, a)', distinct('IN')],
    [
      'a between :N and :S',
      'The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: AttributeValue: {N:1}, upper bound operand: AttributeValue: {S:a}',
    ],
    [
      `a in (${Array(101).fill(':S').join()})`,
      'The IN operator is provided with too many operands; number of operands: 101',
    ],
    // Clause by clause, in the order of the text: paritysuite/dynamodb-conformance, queryKeyCondition.test.ts.
    ['a = :missing AND begins_with(b, :N)', `${undefinedValue}:missing`],
    ['begins_with(b, :N) AND a = :missing', type('begins_with', 'N')],
  ])('%s', (text, detail) => {
    expect(condition(text, undefined, operandValues)).toBe(`Invalid FilterExpression: ${detail}`);
  });

  it('wants the bounds of BETWEEN in order', () => {
    expect(condition('a between :x and :y', undefined, { ':x': { S: 'b' }, ':y': { S: 'a' } })).toBe(
      'Invalid FilterExpression: The BETWEEN operator requires upper bound to be greater than or equal to lower bound; ' +
        'lower bound operand: AttributeValue: {S:b}, upper bound operand: AttributeValue: {S:a}',
    );
  });

  // dynalite, test/updateItem.js, from "undefined attribute names" on.
  it.each<readonly [string, string]>([
    ['SET #c = if_not_exists(:c)', `${undefinedName}#c`],
    ['SET #a = if_not_exists(:c)', `${undefinedValue}:c`],
    ['set d[1] = a, d.b = a, c[1].a = a, #c = if_not_exists(a)', `${undefinedName}#c`],
    ['set d[1] = a, d.b = a, c[1].a = a, c = if_not_exists(a)', overlap('[c, [1], a]', '[c]')],
    ['remove a.c set a[1] = d', conflict('[a, c]', '[a, [1]]')],
    [
      'set b = list_append(:S, a), c = if_not_exists(a) add a.b :S',
      'Incorrect operand type for operator or function; operator: ADD, operand type: STRING',
    ],
    ['delete a.b :N', 'Incorrect operand type for operator or function; operator: DELETE, operand type: NUMBER'],
    ['add a.b :L', 'Incorrect operand type for operator or function; operator: ADD, operand type: LIST'],
    ['set a = if_not_exists(c)', operands('if_not_exists', 1)],
    ['set a = list_append(c)', operands('list_append', 1)],
    [
      'set a = if_not_exists(:S, c)',
      'Operator or function requires a document path; operator or function: if_not_exists',
    ],
    [
      'set a = if_not_exists(if_not_exists(a, b), c)',
      'Operator or function requires a document path; operator or function: if_not_exists',
    ],
    ...['S', 'N', 'B', 'BOOL', 'NULL', 'SS', 'NS', 'BS', 'M'].map(
      (t) => [`set a = list_append(:${t}, a)`, type('list_append', t)] as const,
    ),
    ...['S', 'B', 'BOOL', 'NULL', 'SS', 'NS', 'BS', 'M', 'L'].map((t) => [`set a = a - :${t}`, type('-', t)] as const),
  ])('update: %s', (text, detail) => {
    expect(update(text, { '#a': 'a' }, operandValues)).toBe(`Invalid UpdateExpression: ${detail}`);
  });

  it.each<[ExpressionNames | undefined, AttributeMap | undefined, string]>([
    [{}, undefined, 'ExpressionAttributeNames must not be empty'],
    [{ a: 'a' }, undefined, 'ExpressionAttributeNames contains invalid key: Syntax error; key: "a"'],
    [{ '#a-b': 'a' }, undefined, 'ExpressionAttributeNames contains invalid key: Syntax error; key: "#a-b"'],
    [undefined, {}, 'ExpressionAttributeValues must not be empty'],
    [undefined, { b: { S: 'a' } }, 'ExpressionAttributeValues contains invalid key: Syntax error; key: "b"'],
    [
      undefined,
      { ':b': {} },
      'ExpressionAttributeValues contains invalid value: Supplied AttributeValue is empty, must contain exactly one of the supported datatypes for key :b',
    ],
    [
      undefined,
      { ':b': { NS: ['1', 'b'] } },
      'ExpressionAttributeValues contains invalid value: The parameter cannot be converted to a numeric value: b for key :b',
    ],
  ])('placeholders %j %j', (names, values, message) => {
    expect(messageOf(() => new Placeholders(names, values))).toBe(message);
  });

  it('refuses what no expression used', () => {
    const unusedOf = (names: ExpressionNames | undefined, values: AttributeMap | undefined) => {
      const placeholders = new Placeholders(names, values);
      bindCondition('ConditionExpression', 'a = b', placeholders);
      return messageOf(() => placeholders.checkAllUsed());
    };
    expect(unusedOf({ '#a': 'a', '#b': 'b' }, { ':c': { S: 'a' } })).toBe(
      'Value provided in ExpressionAttributeNames unused in expressions: keys: {#a, #b}',
    );
    expect(unusedOf(undefined, { ':c': { S: 'a' } })).toBe(
      'Value provided in ExpressionAttributeValues unused in expressions: keys: {:c}',
    );
  });
});

describe('evaluation', () => {
  const item: Item = {
    s: { S: 'hello' },
    n: { N: '10' },
    b: { B: bytes('AQID') },
    ss: { SS: ['a', 'b'] },
    ns: { NS: ['1', '2'] },
    bs: { BS: [bytes('AQ==')] },
    l: { L: [{ S: 'x' }, { N: '5' }, { M: { deep: { N: '7' } } }] },
    m: { M: { x: { N: '1' }, y: { L: [{ N: '-1' }, { N: '2' }] } } },
    t: { BOOL: true },
    z: { NULL: true },
  };
  const values: AttributeMap = {
    ...operandValues,
    ':hell': { S: 'hell' },
    ':ll': { S: 'll' },
    ':five': { N: '5' },
    ':nine': { N: '9' },
    ':ten': { N: '10' },
    ':bin': { B: bytes('AQI=') },
    ':mid': { B: bytes('Ag==') },
    ':ab': { SS: ['b', 'a'] },
    ':typeM': { S: 'M' },
    ':typeNULL': { S: 'NULL' },
    ':deep': { M: { deep: { N: '7' } } },
  };
  const holds = (text: string, on: Item = item) =>
    compileCondition(bindCondition('ConditionExpression', text, new Placeholders(undefined, values)))(on);

  it.each([
    's = s2 OR s = :S OR n = :ten',
    'n > :nine',
    'n >= :ten AND n <= :ten AND NOT n < :ten',
    'n between :five and :ten',
    'ss = :ab',
    's <> n',
    'absent <> s',
    'absent <> gone',
    'attribute_exists(m.y[1])',
    'attribute_not_exists(m.y[2])',
    'attribute_not_exists(l.x)',
    'attribute_type(m, :typeM)',
    'attribute_type(z, :typeNULL)',
    'begins_with(s, :hell)',
    'begins_with(b, :bin)',
    'contains(s, :ll)',
    'contains(ss, :S)',
    'contains(ns, :N)',
    'contains(l, :five)',
    'contains(l, :deep)',
    'contains(b, :mid)',
    'size(s) = :five',
    'size(l) > size(ss)',
    'size(m) < :five',
    'm.x < m.y[1]',
    'n in (:five, :ten)',
    'n in (s, :ten)',
    's = :S OR NOT s = :S AND n = :ten',
    'NOT (n = :five) AND t = :BOOL',
    'not not n = :ten',
    '(l[2]).deep > :five',
    'size(b) = size(l)',
  ])('holds: %s', (text) => {
    expect(holds(text)).toBe(true);
  });

  it.each([
    'n = :S',
    'absent = gone',
    'absent < :ten',
    ':ten < absent',
    'l < :ten',
    'q < w',
    'q between w and e',
    'size(n) > :N',
    'size(absent) < :ten',
    'contains(n, :N)',
    'contains(ns, :S)',
    'begins_with(n, :S)',
    'n < :hell',
    'attribute_type(absent, :typeM)',
    'n in (:five, :hell)',
    'attribute_exists(m.y[9])',
    'n between :five and :nine',
    'NOT n = :ten',
    'l = :L',
  ])('does not hold: %s', (text) => {
    expect(holds(text)).toBe(false);
  });

  it('binds AND tighter than OR, NOT tighter than AND', () => {
    expect(holds('n = :ten OR n = :ten AND n = :five')).toBe(true);
    expect(holds('NOT n = :five AND n = :five')).toBe(false);
  });

  it('does not find what objects inherit', () => {
    expect(holds('attribute_exists(toString)', {})).toBe(false);
  });
});

describe('robustness', () => {
  const word = fc.constantFrom(
    'a',
    'b.c',
    'd[0]',
    '#n',
    ':v',
    ':w',
    '(',
    ')',
    ',',
    '=',
    '<>',
    '<',
    '>=',
    'AND',
    'or',
    'NOT',
    'BETWEEN',
    'IN',
    'SET',
    'remove',
    'ADD',
    'DELETE',
    '+',
    '-',
    '.',
    '[',
    ']',
    '1',
    'size(',
    'contains(',
    'if_not_exists(',
    'list_append(',
    '_',
    '"',
    'é',
    '\u0000',
    'status',
  );
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc.array(word, { maxLength: 14 }).map((w) => w.join(' ')),
  );
  const bindAll = [
    (t: string, p: Placeholders) => bindCondition('ConditionExpression', t, p),
    (t: string, p: Placeholders) => bindUpdate(t, p),
    (t: string, p: Placeholders) => bindProjection(t, p),
  ];

  it('ends in a tree or in a RuleError for any text', () => {
    fc.assert(
      fc.property(text, (t) => {
        for (const bind of bindAll) {
          messageOf(() => bind(t, new Placeholders({ '#n': 'x' }, { ':v': { N: '1' }, ':w': { S: 'a' } })));
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('survives the deepest nesting that 4 KB can hold', () => {
    for (const t of [
      '('.repeat(4096),
      'NOT '.repeat(1024),
      'size('.repeat(819),
      `a = ${'('.repeat(4000)}`,
      'a.'.repeat(2048),
    ]) {
      for (const bind of bindAll)
        expect(messageOf(() => bind(t, new Placeholders(undefined, undefined)))).toMatch(/^Invalid /);
    }
  });
});
