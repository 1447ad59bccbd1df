/**
 * F0 and F1 for a table of many items: a bare node:http server over LMDB whose keys are hashes, filled beforehand. A body with an
 * `Item` is put, durably, one with a `Key` is got; both are answered with fixed bytes and headers.
 *
 *   node keys.mjs '{"body": "…", "headers": {…}, "store": "/folder", "items": 10000, "bytes": 300}'
 */
import { hash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { open } from 'lmdb';

const options = JSON.parse(process.argv[2] ?? '{}') as {
  body: string;
  headers: Record<string, string>;
  store: string;
  items: number;
  bytes: number;
};
const answer = Buffer.from(options.body);
const headers = { ...options.headers, 'content-length': String(answer.length) };
const database = open({
  path: options.store,
  encoding: 'binary',
  keyEncoding: 'binary',
  pageSize: 8192,
  overlappingSync: false,
  mapSize: 2 ** 36,
});
const keyOf = (name: string): Buffer => hash('sha256', name, 'buffer').subarray(0, 16);

const value = Buffer.alloc(options.bytes, 0x20);
for (let first = 0; first < options.items; first += 50_000) {
  await database.transaction(() => {
    const end = Math.min(options.items, first + 50_000);
    for (let index = first; index < end; index++) void database.put(keyOf(`device-${index}`), value);
  });
}

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
    const { Item, Key } = JSON.parse(body.toString('utf8')) as Record<string, { pk: { S: string } } | undefined>;
    const finish = (): void => {
      response.writeHead(200, headers);
      response.end(answer);
    };
    if (Item !== undefined) void database.put(keyOf(Item.pk.S), body).then(finish);
    else {
      database.get(keyOf(Key!.pk.S));
      finish();
    }
  });
});
server.listen(0, '127.0.0.1', () =>
  process.stdout.write(`ready on http://127.0.0.1:${(server.address() as AddressInfo).port}\n`),
);
