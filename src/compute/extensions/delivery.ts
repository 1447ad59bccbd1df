/** Batches of telemetry on their way to a listener inside the sandbox. */
import { request } from 'node:http';
import type { Socket } from 'node:net';
import type { Destination } from './subscription.ts';

/** A connection to a port of the sandbox's own loopback. */
export type Dial = (port: number) => Promise<Socket>;

export interface Delivery {
  /** Resolves when the listener has taken the events (JSON texts): HTTP by its answer, TCP when they were written. */
  send(events: readonly string[]): Promise<void>;
  close(): void;
}

export function openDelivery(destination: Destination, dial: Dial): Delivery {
  return destination.protocol === 'HTTP'
    ? new HttpDelivery(destination, dial)
    : new TcpDelivery(destination.port, dial);
}

class HttpDelivery implements Delivery {
  readonly #destination: Extract<Destination, { protocol: 'HTTP' }>;
  readonly #dial: Dial;
  #socket: Socket | undefined;

  constructor(destination: Extract<Destination, { protocol: 'HTTP' }>, dial: Dial) {
    this.#destination = destination;
    this.#dial = dial;
  }

  async send(events: readonly string[]): Promise<void> {
    const { port, path, method } = this.#destination;
    const socket = await this.#dial(port);
    this.#socket = socket;
    const body = Buffer.from(`[${events.join(',')}]`);
    const headers = {
      Host: `sandbox.localdomain:${port}`,
      'Content-Type': 'application/json',
      'Content-Length': body.length,
      Connection: 'close',
    };
    await new Promise<void>((resolve, reject) => {
      const sent = request({ method, path, headers, createConnection: () => socket }, (response) => {
        response.resume();
        response.once('error', reject);
        response.once('end', () => {
          const status = response.statusCode ?? 0;
          if (status < 400) resolve();
          else reject(new Error(`the listener answered ${status}`));
        });
      });
      sent.once('error', reject);
      sent.end(body);
    }).finally(() => socket.destroy());
  }

  close(): void {
    this.#socket?.destroy();
  }
}

/** One connection for all; what a lost one had not passed on is not known, so the batch is sent again. */
class TcpDelivery implements Delivery {
  readonly #port: number;
  readonly #dial: Dial;
  #socket: Socket | undefined;

  constructor(port: number, dial: Dial) {
    this.#port = port;
    this.#dial = dial;
  }

  async send(events: readonly string[]): Promise<void> {
    let socket = this.#socket;
    if (socket === undefined || socket.destroyed) {
      socket = await this.#dial(this.#port);
      socket.on('error', () => {
        // Told by the write that fails, if there is one.
      });
      socket.resume();
      this.#socket = socket;
    }
    const open = socket;
    const text = events.map((event) => `${event}\n`).join('');
    await new Promise<void>((resolve, reject) => open.write(text, (error) => (error ? reject(error) : resolve())));
  }

  close(): void {
    this.#socket?.destroy();
  }
}
