import type { Platform } from '../../platform/service.ts';
import { Directory, servedLatest } from './directory.ts';
import { Environments } from './environments.ts';
import { EventQueue } from './event-queue.ts';
import { Invoker } from './invoker.ts';
import { Lifecycle } from './lifecycle.ts';
import { LogWriter } from './log-writer.ts';
import { Pollers } from './pollers.ts';
import { Provisioning } from './provisioning.ts';
import { sameButForCode } from './rules/configuration-told.ts';
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
  const directory = new Directory({
    store,
    clock,
    onReplaced(before, now) {
      const latest = now === undefined ? undefined : servedLatest(now.record);
      // What somebody works on was put into its package behind him: it runs already.
      if (latest !== undefined && workbench.holdsCode(now!) && sameButForCode(before, latest)) {
        environments.rename(before.environmentId, latest.environmentId);
        return;
      }
      environments.retire(before.environmentId);
      if (now !== undefined && workbench.peek(now.place, now.record.name)?.debugPort !== undefined) {
        invoker.openForDebugger(now);
      }
    },
  });
  const provisioning = new Provisioning(platform, directory, environments);
  const invoker: Invoker = new Invoker(platform, directory, environments, workbench);
  const queue = new EventQueue(platform, directory, invoker);
  const pollers = new Pollers(platform, directory, invoker);
  const lifecycle = new Lifecycle(platform, directory, pollers);
  return { platform, directory, workbench, environments, provisioning, invoker, queue, pollers, lifecycle, logs };
}
