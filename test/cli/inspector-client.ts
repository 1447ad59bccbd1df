import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

/** A client of Node's inspector: the Chrome DevTools protocol over a WebSocket, as little of it as a debugger needs. */
export interface InspectorClient {
  send(method: string, params?: object): Promise<Record<string, unknown>>;
  /** The next event of that name, come or to come. */
  event(name: string): Promise<Record<string, unknown>>;
  close(): void;
}

/** Waits until an inspector listens on the port of 127.0.0.1, and attaches to it. */
export async function attachInspector(port: number): Promise<InspectorClient> {
  const url = new URL(await socketUrl(port));
  const socket = await upgraded(port, url.pathname);
  const answers = new Map<number, (message: Message) => void>();
  const come = new Map<string, Record<string, unknown>[]>();
  const awaited = new Map<string, (params: Record<string, unknown>) => void>();
  let lastId = 0;
  const take = (text: string): void => {
    const message = JSON.parse(text) as Message;
    if (message.id !== undefined) {
      answers.get(message.id)?.(message);
      return;
    }
    const { method = '', params = {} } = message;
    const waiting = awaited.get(method);
    awaited.delete(method);
    if (waiting !== undefined) waiting(params);
    else come.set(method, [...(come.get(method) ?? []), params]);
  };
  readFrames(socket, take);
  return {
    send: (method, params = {}) =>
      new Promise((resolve, reject) => {
        const id = ++lastId;
        answers.set(id, ({ result, error }) => {
          answers.delete(id);
          if (error === undefined) resolve((result ?? {}) as Record<string, unknown>);
          else reject(new Error(`${method}: ${error.message}`));
        });
        socket.write(frame(JSON.stringify({ id, method, params })));
      }),
    event: (name) => {
      const first = come.get(name)?.shift();
      if (first !== undefined) return Promise.resolve(first);
      return new Promise((resolve) => awaited.set(name, resolve));
    },
    close: () => socket.destroy(),
  };
}

interface Message {
  readonly id?: number;
  readonly result?: object;
  readonly error?: { readonly message: string };
  readonly method?: string;
  readonly params?: Record<string, unknown>;
}

async function socketUrl(port: number): Promise<string> {
  for (let tries = 0; tries < 400; tries++) {
    try {
      const targets = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as {
        webSocketDebuggerUrl: string;
      }[];
      return targets[0]!.webSocketDebuggerUrl;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  throw new Error(`no inspector listens on port ${port}`);
}

function upgraded(port: number, path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', reject);
    socket.write(
      [
        `GET ${path} HTTP/1.1`,
        `Host: 127.0.0.1:${port}`,
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
        '\r\n',
      ].join('\r\n'),
    );
    let head = Buffer.alloc(0);
    const read = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      socket.off('data', read);
      if (!head.toString('latin1').startsWith('HTTP/1.1 101')) {
        reject(new Error(head.toString('latin1')));
        return;
      }
      if (head.length > end + 4) socket.unshift(head.subarray(end + 4));
      resolve(socket);
    };
    socket.on('data', read);
  });
}

/** A text frame of a client: masked, as the protocol wants (RFC 6455). */
function frame(text: string): Buffer {
  const payload = Buffer.from(text);
  const mask = randomBytes(4);
  const length = payload.length;
  const head =
    length < 126
      ? Buffer.from([0x81, 0x80 | length])
      : length < 65_536
        ? Buffer.from([0x81, 0x80 | 126, length >> 8, length & 0xff])
        : Buffer.from([
            0x81,
            0x80 | 127,
            0,
            0,
            0,
            0,
            length >>> 24,
            (length >> 16) & 0xff,
            (length >> 8) & 0xff,
            length & 0xff,
          ]);
  return Buffer.concat([head, mask, payload.map((byte, index) => byte ^ mask[index % 4]!)]);
}

/** A server's frames are not masked; Node's inspector sends each message in one. */
function readFrames(socket: Socket, take: (text: string) => void): void {
  let buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    buffer = Buffer.concat([buffer, chunk]);
    for (;;) {
      if (buffer.length < 2) return;
      const short = buffer[1]! & 0x7f;
      const start = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (buffer.length < start) return;
      const length = short < 126 ? short : short === 126 ? buffer.readUInt16BE(2) : Number(buffer.readBigUInt64BE(2));
      if (buffer.length < start + length) return;
      const payload = buffer.subarray(start, start + length);
      if ((buffer[0]! & 0x0f) === 1) take(payload.toString());
      buffer = buffer.subarray(start + length);
    }
  });
}
