import type { Platform } from '../../platform/service.ts';
import { Directory } from './directory.ts';
import { Environments } from './environments.ts';
import { EventQueue } from './event-queue.ts';
import { Invoker } from './invoker.ts';
import { Lifecycle } from './lifecycle.ts';
import { LogWriter } from './log-writer.ts';
import { Pollers } from './pollers.ts';
import { Provisioning } from './provisioning.ts';
import { Workbench } from './workbench.ts';

/** What the operations of one cloud's Lambda share. */
export interface Engine {
  readonly platform: Platform;
  readonly directory: Directory;
  readonly workbench: Workbench;
  readonly environments: Environments;
  readonly provisioning: Provisioning;
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
  const workbench: Workbench = new Workbench({ platform, onLeft: (id) => environments.retire(id) });
  const environments = new Environments(platform, logs, workbench);
  const directory = new Directory({ store, clock, onReplaced: (id) => environments.retire(id) });
  const provisioning = new Provisioning(platform, directory, environments);
  const invoker = new Invoker(platform, directory, environments, workbench);
  const queue = new EventQueue(platform, directory, invoker);
  const pollers = new Pollers(platform, directory, invoker);
  const lifecycle = new Lifecycle(platform, directory, pollers);
  return { platform, directory, workbench, environments, provisioning, invoker, queue, pollers, lifecycle, logs };
}
