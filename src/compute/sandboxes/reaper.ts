/**
 * No sandbox survives the cloud, not even one that spins, and not even when the cloud is killed with SIGKILL: a small shell process
 * holds the other end of a pipe, knows the process groups, and kills them when the pipe closes. (The kernel's own means,
 * PR_SET_PDEATHSIG, cannot be set from Node, and does not reach grandchildren.)
 */
import { type ChildProcess, spawn } from 'node:child_process';

/**
 * Reads lines `+ GROUP` and `- GROUP`. At the end of its input it kills the groups, then whatever still bears the marker (first
 * argument) in its environment: processes that have left their group.
 */
const script = `
groups=' '
while read -r sign group; do
  case $sign in
    +) groups="$groups$group " ;;
    -) groups="\${groups%% $group *} \${groups#* $group }" ;;
  esac
done
for group in $groups; do kill -9 -- "-$group" 2>/dev/null; done
for round in 1 2 3; do
  found=''
  for file in $(grep -lsF -- "$1" /proc/[0-9]*/environ 2>/dev/null); do
    pid=\${file#/proc/}
    pid=\${pid%/environ}
    [ "$pid" = "$$" ] || { kill -9 "$pid" 2>/dev/null && found=1; }
  done
  [ -n "$found" ] || exit 0
done
`;

export class Reaper {
  readonly #marker: string;
  readonly #groups = new Set<number>();
  #child: ChildProcess | undefined;
  #closed = false;

  constructor(marker: string) {
    this.#marker = marker;
  }

  watch(group: number): void {
    this.#groups.add(group);
    if (this.#child === undefined) this.#start();
    else this.#child.stdin?.write(`+ ${group}\n`);
  }

  forget(group: number): void {
    this.#groups.delete(group);
    this.#child?.stdin?.write(`- ${group}\n`);
  }

  close(): Promise<void> {
    this.#closed = true;
    const child = this.#child;
    if (child?.pid === undefined || child.exitCode !== null) return Promise.resolve();
    return new Promise((resolve) => {
      child.ref();
      child.once('exit', () => resolve());
      child.stdin?.end();
    });
  }

  #start(): void {
    const child = spawn('/bin/sh', ['-c', script, 'unkai-reaper', this.#marker], {
      stdio: ['pipe', 'ignore', 'ignore'],
      env: { PATH: '/usr/bin:/bin' },
      detached: true,
    });
    this.#child = child;
    // It must not keep the cloud's process alive; its pipe is what it waits for.
    child.unref();
    (child.stdin as unknown as { unref?: () => void }).unref?.();
    child.once('exit', () => {
      this.#child = undefined;
      if (!this.#closed && this.#groups.size > 0) this.#start();
    });
    // No shell on this system: then nothing outlives the cloud but what spins without ever asking for its next event.
    child.once('error', () => {});
    // A write to a reaper that has died: its end is heard of, and another takes over.
    child.stdin?.on('error', () => {});
    for (const group of this.#groups) child.stdin?.write(`+ ${group}\n`);
  }
}
