import { describe, expect, it } from 'vitest';
import { proxyAnswer } from './response.ts';

const plain = ['content-type', 'text/plain; charset=utf-8'];

describe('proxyAnswer', () => {
  it.each([
    ['"Hello from Lambda!"', 'Hello from Lambda!'],
    ['{"message":"Hello"}', '{"message":"Hello"}'],
    ['[1,2]', '[1,2]'],
    ['null', 'null'],
    ['7', '7'],
  ])('infers a 200 from %s in format 2.0', (payload, body) => {
    expect(proxyAnswer(payload, '2.0')).toEqual({ status: 200, headers: [['content-type', 'application/json']], body });
    expect(proxyAnswer(payload, '1.0')).toBeUndefined();
  });

  it('takes status, headers, cookies and body', () => {
    const payload = JSON.stringify({
      statusCode: 201,
      headers: { 'Content-Type': 'application/json', 'X-N': 5, Connection: 'close', 'Content-Length': '99' },
      cookies: ['a=1', 'b=2; Secure'],
      body: '{}',
    });
    expect(proxyAnswer(payload, '2.0')).toEqual({
      status: 201,
      headers: [
        ['content-type', 'application/json'],
        ['x-n', '5'],
        ['set-cookie', 'a=1'],
        ['set-cookie', 'b=2; Secure'],
      ],
      body: '{}',
    });
  });

  it('decodes base64 and serialises a body that is no string', () => {
    const binary = proxyAnswer('{"statusCode":200,"isBase64Encoded":true,"body":"AAH/"}', '2.0');
    expect(binary?.body).toEqual(Buffer.from([0, 1, 255]));
    expect(proxyAnswer('{"statusCode":200,"body":{"a":1}}', '2.0')).toEqual({
      status: 200,
      headers: [plain],
      body: '{"a":1}',
    });
    expect(proxyAnswer('{"statusCode":"204"}', '2.0')).toEqual({ status: 204, headers: [plain], body: '' });
  });

  it('takes multi-value headers in format 1.0 only', () => {
    const payload = '{"statusCode":200,"multiValueHeaders":{"Set-Cookie":["a=1","b=2"]},"body":""}';
    expect(proxyAnswer(payload, '1.0')?.headers).toEqual([['set-cookie', 'a=1'], ['set-cookie', 'b=2'], plain]);
    expect(proxyAnswer(payload, '2.0')?.headers).toEqual([plain]);
  });

  it.each([
    '{"statusCode":"abc"}',
    '{"statusCode":99}',
    '{"statusCode":600}',
    '{"statusCode":200.5}',
    '{"statusCode":null}',
    '{"statusCode":200,"headers":"x"}',
    '{"statusCode":200,"headers":{"a":{}}}',
    '{"statusCode":200,"headers":{"a":"x\\r\\ny: z"}}',
    '{"statusCode":200,"cookies":"a=1"}',
    '{"statusCode":200,',
    '',
  ])('calls %s malformed', (payload) => {
    expect(proxyAnswer(payload, '2.0')).toBeUndefined();
  });
});
