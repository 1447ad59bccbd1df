import type { ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';

/** One of the descriptors that a child was given as a pipe; Node makes them sockets, and its types know the first five only. */
export function stdioOf(child: ChildProcess, descriptor: number): Socket {
  return (child.stdio as unknown as readonly Socket[])[descriptor]!;
}
