import { describe, expect, it } from 'vitest';
import { serviceCaller } from '../../platform/context.ts';
import { authorization } from './authorization.ts';

const arn = 'arn:aws:dynamodb:us-east-1:000000000000:table/t';

describe('what DynamoDB asks IAM about', () => {
  it.each([
    [{ TableName: 't' }, { resource: arn }],
    [{ TableName: arn }, { resource: arn }],
    [{ TableName: 't', IndexName: 'i' }, { resource: `${arn}/index/i` }],
    [{ ResourceArn: arn }, { resource: arn }],
    [{ RequestItems: { t: {} } }, { resource: arn }],
    [{ RequestItems: { t: {}, u: {} } }, { resource: '*' }],
    [
      { TransactItems: [{ Get: { TableName: 't' } }, { Get: { TableName: 't' } }] },
      { action: 'dynamodb:GetItem', resource: arn },
    ],
    [
      { TransactItems: [{ Put: { TableName: 't' } }, { Delete: { TableName: 't' } }] },
      { action: 'dynamodb:PutItem', resource: '*' },
    ],
    [{ Statement: 'SELECT * FROM t' }, { action: 'dynamodb:PartiQLSelect', resource: arn }],
    [{ Statement: 'SELECT * FROM "t"."i"' }, { action: 'dynamodb:PartiQLSelect', resource: `${arn}/index/i` }],
    [{ Statement: 'nonsense' }, undefined],
    [
      { Statements: [{ Statement: `DELETE FROM t WHERE a = 'b'` }, { Statement: `DELETE FROM t WHERE a = 'c'` }] },
      { action: 'dynamodb:PartiQLDelete', resource: arn },
    ],
    [
      { TransactStatements: [{ Statement: `INSERT INTO t VALUE {'a': 1}` }, { Statement: `UPDATE u SET a = 1` }] },
      { action: 'dynamodb:PartiQLInsert', resource: '*' },
    ],
    [{ Limit: 1 }, undefined],
  ])('%j', (input, expected) => {
    expect(authorization('', input, serviceCaller('x', '000000000000', 'us-east-1'))).toEqual(expected);
  });
});
