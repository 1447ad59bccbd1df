import { describe, expect, it } from 'vitest';
import { codecFor } from './codec.ts';
import type { AwsError } from './errors.ts';
import { loadModel } from './model.ts';
import { rawRequest } from './test-support.ts';

function refusal(service: string, operation: string, input: unknown) {
  const protocol = loadModel(service).protocols[0]!;
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const body =
    protocol === 'query' ? String(new URLSearchParams(input as Record<string, string>)) : JSON.stringify(input);
  try {
    codecFor(service, operation, protocol).decode(rawRequest({ headers, body }));
  } catch (error) {
    const { code, message } = error as AwsError;
    return `${code}: ${message}`;
  }
  return 'accepted';
}

describe('validation in the words of AWS', () => {
  it('says what is missing, in the order of the model, all together', () => {
    expect(refusal('dynamodb', 'PutItem', {})).toBe(
      "ValidationException: 2 validation errors detected: Value null at 'tableName' failed to satisfy constraint: Member must not be null; Value null at 'item' failed to satisfy constraint: Member must not be null",
    );
  });

  it('checks pattern, length and enum of one value', () => {
    const tooLong = 'a b'.padEnd(65, 'c');
    expect(refusal('iam', 'CreateRole', { RoleName: tooLong, AssumeRolePolicyDocument: '{}' })).toBe(
      `ValidationError: 2 validation errors detected: Value '${tooLong}' at 'roleName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]+; Value '${tooLong}' at 'roleName' failed to satisfy constraint: Member must have length less than or equal to 64`,
    );
    expect(refusal('dynamodb', 'Query', { TableName: 't', Limit: 0 })).toBe(
      "ValidationException: 1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1",
    );
  });

  it('names the place inside lists and maps', () => {
    const AttributeDefinitions = [{ AttributeName: 'a', AttributeType: 'X' }];
    expect(
      refusal('dynamodb', 'CreateTable', {
        TableName: 'ttt',
        KeySchema: [{ AttributeName: 'a', KeyType: 'HASH' }],
        AttributeDefinitions,
      }),
    ).toContain(
      "Value 'X' at 'attributeDefinitions.1.member.attributeType' failed to satisfy constraint: Member must satisfy enum value set: [B, N, S]",
    );
    expect(refusal('dynamodb', 'BatchGetItem', { RequestItems: { tbl: {} } })).toContain(
      "Value null at 'requestItems.tbl.member.keys' failed to satisfy constraint: Member must not be null",
    );
  });

  it('tells the constraints of scalars in lists and of map keys in one', () => {
    const layers = { FunctionName: 'f', Role: 'arn:aws:iam::123456789012:role/r', Code: {}, Layers: ['nonsense'] };
    expect(refusal('lambda', 'CreateFunction', layers)).toMatch(
      /Value '\[nonsense\]' at 'layers' failed to satisfy constraint: Member must satisfy constraint: \[Member must have length less than or equal to 140, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: /,
    );
    const variables = { ...layers, Layers: [], Environment: { Variables: { '1A': 'b' } } };
    expect(refusal('lambda', 'CreateFunction', variables)).toContain(
      "Value '{1A=b}' at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+",
    );
  });

  it('stops at ten errors', () => {
    const KeySchema = Array.from({ length: 12 }, () => ({ AttributeName: 'a', KeyType: 'X' }));
    expect(refusal('dynamodb', 'CreateTable', { TableName: 'ttt', KeySchema, AttributeDefinitions: [] })).toMatch(
      /^ValidationException: 10 validation errors detected: /,
    );
  });

  it('does not look into attribute values', () => {
    expect(refusal('dynamodb', 'PutItem', { TableName: 't', Item: { a: { X: 1 } } })).toBe('accepted');
  });

  it('numbers the entries of a batch as SQS does', () => {
    expect(
      refusal('sqs', 'SendMessageBatch', { QueueUrl: 'q', Entries: [{ Id: 'a', MessageBody: 'b' }, { Id: 'c' }] }),
    ).toBe(
      'MissingRequiredParameterException: The request must contain the parameter SendMessageBatchRequestEntry.2.MessageBody.',
    );
  });

  it('does not take quadratic time over a long value', () => {
    const start = performance.now();
    expect(refusal('logs', 'CreateLogGroup', { logGroupName: '!'.repeat(1_000_000) })).toContain(
      'Member must have length',
    );
    expect(performance.now() - start).toBeLessThan(1000);
  });
});
