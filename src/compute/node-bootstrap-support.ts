/** Runs the Node runtime's bootstrap alone, against a Runtime API of the tests' own: every byte that it sends can be looked at. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type HttpRequest, RequestParser } from '../wire/http1.ts';

const bootstrap = fileURLToPath(new URL('./runtimes/node/bootstrap.cjs', import.meta.url));

export interface BootOptions {
  readonly files: Readonly<Record<string, string>>;
  readonly handler?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** How it reaches the Runtime API: by the address, or by a connection handed down. */
  readonly channel?: 'address' | 'descriptor';
}

/** A started bootstrap. Its answers and errors are taken in order; each is accepted. */
export class Booted {
  readonly folder: string;
  readonly child: ChildProcess;
  /** All that it printed. */
  output = '';
  /** All that it sent. */
  sent = Buffer.alloc(0);
  readonly exited: Promise<number | null>;
  readonly #server: Server | undefined;
  readonly #requests: HttpRequest[] = [];
  #wake: () => void = () => {};
  #socket: Socket | undefined;

  private constructor(folder: string, child: ChildProcess, server: Server | undefined) {
    this.folder = folder;
    this.child = child;
    this.#server = server;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
        this.#wake();
      });
    }
    this.exited = new Promise((resolve) => child.once('close', resolve));
    void this.exited.then(() => this.#wake());
  }

  static async start(options: BootOptions): Promise<Booted> {
    const folder = await mkdtemp(join(tmpdir(), 'unkai-bootstrap-'));
    for (const [path, content] of Object.entries(options.files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), content);
    }
    const byDescriptor = options.channel === 'descriptor';
    const accepted: Socket[] = [];
    let onSocket = (socket: Socket): void => {
      accepted.push(socket);
    };
    const server = byDescriptor ? undefined : createServer((socket) => onSocket(socket));
    if (server !== undefined) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server?.address();
    const port = typeof address === 'object' && address !== null ? address.port : 1;
    const child = spawn(process.execPath, [bootstrap], {
      cwd: folder,
      env: {
        PATH: process.env['PATH'],
        _HANDLER: options.handler ?? 'index.handler',
        LAMBDA_TASK_ROOT: folder,
        AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs20.x',
        AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
        AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${port}`,
        ...(byDescriptor ? { UNKAI_RUNTIME_API_FD: '3' } : {}),
        ...options.environment,
      },
      stdio: ['ignore', 'pipe', 'pipe', ...(byDescriptor ? (['pipe'] as const) : [])],
    });
    const booted = new Booted(folder, child, server);
    onSocket = (socket) => booted.#listen(socket);
    for (const socket of accepted) onSocket(socket);
    if (byDescriptor) booted.#listen(child.stdio[3] as Socket);
    return booted;
  }

  /** Gives an event to the bootstrap, if it asks for one. Returns what it has asked. */
  async give(requestId: string, event: unknown): Promise<HttpRequest> {
    const next = await this.request();
    if (next.method !== 'GET') return next;
    const payload = JSON.stringify(event);
    this.#socket?.write(
      `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: ${requestId}\r\n` +
        'Lambda-Runtime-Deadline-Ms: 9999999999999\r\nLambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:::function:f\r\n' +
        `Content-Length: ${Buffer.byteLength(payload)}\r\n\r\n${payload}`,
    );
    return next;
  }

  /** The next complete request. Fails where the bootstrap ends without one. */
  async request(): Promise<HttpRequest> {
    await this.until(() => this.#requests.length > 0 || this.child.exitCode !== null);
    const request = this.#requests.shift();
    if (request === undefined) throw new Error(`the bootstrap has ended: ${this.output}`);
    if (request.method === 'POST') {
      this.#socket?.write('HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}');
    }
    return request;
  }

  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const wake = this.#wake;
      this.#wake = () => {
        wake();
        if (condition()) resolve();
      };
      this.#wake();
    });
  }

  /** Stops, or goes on, to read what it sends. */
  listening(yes: boolean): void {
    if (yes) this.#socket?.resume();
    else this.#socket?.pause();
  }

  disconnect(): void {
    this.#socket?.destroy();
  }

  async close(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
    this.#socket?.destroy();
    this.#server?.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  #listen(socket: Socket): void {
    const parser = new RequestParser(256 * 1024 * 1024);
    this.#socket = socket;
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      if (this.sent.length < 1024 * 1024) this.sent = Buffer.concat([this.sent, bytes]);
      parser.push(bytes);
      for (let request = parser.next(); request !== undefined; request = parser.next()) this.#requests.push(request);
      this.#wake();
    });
  }
}
