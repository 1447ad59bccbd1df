import type { CloudClient } from '../client.ts';
import { probe } from '../client.ts';
import { CliError } from '../error.ts';
import type { Terminal } from '../terminal.ts';
import { wait } from '../wait.ts';

const patienceMs = 15_000;
const askEveryMs = 50;

/** Asks the cloud to end and waits until it has. */
export async function stop(terminal: Terminal, client: CloudClient): Promise<void> {
  const { pid } = (await client.control('GET', 'status')) as { pid: number };
  await client.control('POST', 'stop');
  for (let waitedMs = 0; waitedMs < patienceMs; waitedMs += askEveryMs) {
    if ((await probe(client.endpoint)) === undefined && !isRunning(pid)) {
      terminal.data({ stopped: true, endpoint: client.endpoint });
      terminal.line(`stopped ${client.endpoint}`);
      return;
    }
    await wait(askEveryMs);
  }
  throw new CliError(
    'StillRunning',
    `the cloud at ${client.endpoint} has not ended after ${patienceMs / 1000} s`,
    `it is process ${pid}`,
  );
}

/** A process on another machine looks ended; there the closed port must do. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
