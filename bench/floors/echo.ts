/**
 * F0 and F1: a bare node:http server that parses the request's JSON and answers fixed bytes with fixed headers; F1 also
 * commits the request's body to LMDB, durably, before it answers.
 *
 *   node echo.mjs '{"body": "…", "headers": {…}, "store": "/folder or empty"}'
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { open } from 'lmdb';

const options = JSON.parse(process.argv[2] ?? '{}') as {
  body: string;
  headers: Record<string, string>;
  store?: string;
};
const answer = Buffer.from(options.body);
const headers = { ...options.headers, 'content-length': String(answer.length) };
const database =
  options.store === undefined
    ? undefined
    : open({
        path: options.store,
        encoding: 'binary',
        keyEncoding: 'binary',
        pageSize: 8192,
        overlappingSync: false,
        mapSize: 2 ** 36,
      });
let next = 0;

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
    JSON.parse(body.toString('utf8'));
    if (database === undefined) {
      response.writeHead(200, headers);
      response.end(answer);
      return;
    }
    const key = Buffer.allocUnsafe(12);
    key.writeUInt32BE(1, 0);
    key.writeDoubleBE(next++, 4);
    database.put(key, body).then(() => {
      response.writeHead(200, headers);
      response.end(answer);
    });
  });
});
server.listen(0, '127.0.0.1', () =>
  process.stdout.write(`ready on http://127.0.0.1:${(server.address() as AddressInfo).port}\n`),
);
