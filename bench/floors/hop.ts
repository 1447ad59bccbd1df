/**
 * F2: the least that an invocation costs: a front listener takes the event, hands it to a Node process that polls a second
 * listener the way Lambda's Runtime API is polled, and answers when that process has.
 *
 *   node hop.mjs '{"sandboxes": 1}'
 */
import { spawn } from 'node:child_process';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

const { sandboxes } = JSON.parse(process.argv[2] ?? '{"sandboxes":1}') as { sandboxes: number };

const worker = `
const http = require('node:http');
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const [port] = process.argv.slice(1);
function call(method, path, body, done) {
  const request = http.request({ host: '127.0.0.1', port, method, path, agent, headers: body === undefined ? {} : { 'content-length': Buffer.byteLength(body) } }, (response) => {
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (chunk) => { text += chunk; });
    response.on('end', () => done(response.headers, text));
  });
  request.end(body);
}
function next() {
  call('GET', '/next', undefined, (headers, text) => {
    const event = JSON.parse(text);
    call('POST', '/' + headers['x-id'] + '/response', JSON.stringify({ ok: true, event }), next);
  });
}
next();
`;

interface Waiting {
  readonly body: string;
  readonly response: ServerResponse;
}

const queue: Waiting[] = [];
const idle: ServerResponse[] = [];
const running = new Map<string, ServerResponse>();
let ids = 0;

function match(): void {
  while (queue.length > 0 && idle.length > 0) {
    const { body, response } = queue.shift()!;
    const id = String(ids++);
    running.set(id, response);
    idle
      .shift()!
      .writeHead(200, {
        'x-id': id,
        'content-type': 'application/json',
        'content-length': String(Buffer.byteLength(body)),
      })
      .end(body);
  }
}

const inner = createServer((request, response) => {
  if (request.method === 'GET') {
    idle.push(response);
    return match();
  }
  let body = '';
  request.setEncoding('utf8').on('data', (chunk: string) => {
    body += chunk;
  });
  request.on('end', () => {
    response.writeHead(202, { 'content-length': '0' }).end();
    const id = request.url!.split('/')[1]!;
    running
      .get(id)
      ?.writeHead(200, { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) })
      .end(body);
    running.delete(id);
  });
});

const front = createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8').on('data', (chunk: string) => {
    body += chunk;
  });
  request.on('end', () => {
    queue.push({ body, response });
    match();
  });
});

inner.listen(0, '127.0.0.1', () => {
  const { port } = inner.address() as AddressInfo;
  for (let index = 0; index < sandboxes; index++) {
    const child = spawn(process.execPath, ['-e', worker, String(port)], { stdio: 'inherit' });
    process.on('exit', () => child.kill('SIGKILL'));
  }
  front.listen(0, '127.0.0.1', () =>
    process.stdout.write(`ready on http://127.0.0.1:${(front.address() as AddressInfo).port}\n`),
  );
});
process.on('SIGTERM', () => process.exit(0));
