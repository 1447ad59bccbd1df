import type { Platform } from '../../platform/service.ts';
import { Directory } from './directory.ts';
import { Environments } from './environments.ts';
import { EventQueue } from './event-queue.ts';
import { Invoker } from './invoker.ts';
import { Lifecycle } from './lifecycle.ts';
import { LogWriter } from './log-writer.ts';
import { Pollers } from './pollers.ts';

/** What the operations of one cloud's Lambda share. */
export interface Engine {
  readonly platform: Platform;
  readonly directory: Directory;
  readonly environments: Environments;
  readonly invoker: Invoker;
  readonly queue: EventQueue;
  readonly pollers: Pollers;
  readonly lifecycle: Lifecycle;
  readonly logs: LogWriter;
}

/** Builds it; nothing runs yet. */
export function createEngine(platform: Platform): Engine {
  const { store, clock, bus, log } = platform;
  const logs = new LogWriter({ clock, bus, log });
  const environments = new Environments(platform, logs);
  const directory = new Directory({ store, clock, onReplaced: (id) => environments.retire(id) });
  const invoker = new Invoker(platform, directory, environments);
  const queue = new EventQueue(platform, directory, invoker);
  const pollers = new Pollers(platform, directory, invoker);
  const lifecycle = new Lifecycle(platform, directory, pollers);
  return { platform, directory, environments, invoker, queue, pollers, lifecycle, logs };
}
