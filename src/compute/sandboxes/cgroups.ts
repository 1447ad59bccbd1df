/**
 * Control groups, where this process may make some: a bound on memory and on the number of processes that holds at once. Version 2 where
 * the cloud has its group for itself (a container, a systemd scope with Delegate=yes); version 1 as root.
 */
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

const root = '/sys/fs/cgroup';
/** Followed by the process id of a cloud. */
const prefix = 'unkai-';

/** One sandbox's group. */
export interface ControlGroup {
  /** May be called again. */
  bound(bounds: { readonly memoryBytes: number; readonly processes: number }): void;
  /** The process, and all that it will start, belongs to it from now on. */
  add(pid: number): void;
  /** Whether the kernel has killed something in it for want of memory. */
  ranOutOfMemory(): boolean;
  /** When its processes are gone; while some still end it stays, and `remove` may be called again. False: still in use. */
  remove(): boolean;
}

export interface ControlGroups {
  /** Undefined where the system refuses another one. */
  create(id: string): ControlGroup | undefined;
  close(): void;
}

/** Undefined where this process may not make control groups. */
export function openControlGroups(): ControlGroups | undefined {
  const name = `${prefix}${process.pid}`;
  try {
    return existsSync(join(root, 'cgroup.controllers')) ? openUnified(name) : openLegacy(name);
  } catch {
    return undefined;
  }
}

function openUnified(name: string): ControlGroups | undefined {
  const own = join(root, readFileSync('/proc/self/cgroup', 'utf8').match(/^0::(.*)$/m)?.[1] ?? 'none');
  accessSync(own, constants.W_OK);
  // A group with groups below it that have controllers may have no processes of its own: the cloud moves into one of them,
  // which it may only where it is alone.
  const members = readFileSync(join(own, 'cgroup.procs'), 'utf8').trim().split('\n');
  if (members.some((pid) => pid !== String(process.pid))) return undefined;
  removeAbandoned(own);
  const folder = join(own, name);
  mkdirSync(folder);
  const leaf = join(folder, 'cloud');
  mkdirSync(leaf);
  writeFileSync(join(leaf, 'cgroup.procs'), String(process.pid));
  for (const each of [own, folder]) writeFileSync(join(each, 'cgroup.subtree_control'), '+memory +pids');
  return {
    create(id) {
      const group = join(folder, id);
      return made(() => {
        mkdirSync(group);
        return {
          bound({ memoryBytes, processes }) {
            writeFileSync(join(group, 'memory.max'), String(memoryBytes));
            if (existsSync(join(group, 'memory.swap.max'))) writeFileSync(join(group, 'memory.swap.max'), '0');
            writeFileSync(join(group, 'pids.max'), String(processes));
          },
          add: (pid) => writeFileSync(join(group, 'cgroup.procs'), String(pid)),
          ranOutOfMemory: () => /^oom_kill [1-9]/m.test(readOrEmpty(join(group, 'memory.events'))),
          remove: () => removed([group]),
        };
      });
    },
    close() {
      made(() => writeFileSync(join(own, 'cgroup.procs'), String(process.pid)));
      removeWhole(folder);
    },
  };
}

function openLegacy(name: string): ControlGroups | undefined {
  const own = readFileSync('/proc/self/cgroup', 'utf8');
  const folderOf = (controller: string): string => {
    const path = own.match(new RegExp(`^\\d+:(?:[^:]*,)?${controller}(?:,[^:]*)?:(.*)$`, 'm'))?.[1];
    if (path === undefined) throw new Error(`no controller ${controller}`);
    const parent = join(root, controller, path);
    removeAbandoned(parent);
    mkdirSync(join(parent, name));
    return join(parent, name);
  };
  const memory = folderOf('memory');
  const pids = folderOf('pids');
  return {
    create(id) {
      const groups = [join(memory, id), join(pids, id)] as const;
      return made(() => {
        for (const group of groups) mkdirSync(group);
        return {
          bound({ memoryBytes, processes }) {
            writeFileSync(join(groups[0], 'memory.limit_in_bytes'), String(memoryBytes));
            writeFileSync(join(groups[1], 'pids.max'), String(processes));
          },
          add(pid) {
            for (const group of groups) writeFileSync(join(group, 'cgroup.procs'), String(pid));
          },
          ranOutOfMemory: () => /^oom_kill [1-9]/m.test(readOrEmpty(join(groups[0], 'memory.oom_control'))),
          remove: () => removed(groups),
        };
      });
    },
    close() {
      for (const folder of [memory, pids]) removeWhole(folder);
    },
  };
}

/** Groups of clouds that were killed. */
function removeAbandoned(parent: string): void {
  for (const name of readdirSync(parent)) {
    if (!name.startsWith(prefix) || existsSync(`/proc/${name.slice(prefix.length)}`)) continue;
    removeWhole(join(parent, name));
  }
}

/** A cloud's group with those of its sandboxes; one whose processes are still ending stays, for the next cloud to remove. */
function removeWhole(folder: string): void {
  const inside = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  removed([...inside.map((entry) => join(folder, entry.name)), folder]);
}

function made<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}

function removed(groups: readonly string[]): boolean {
  let all = true;
  for (const group of groups) {
    try {
      rmdirSync(group);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') all = false;
    }
  }
  return all;
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
