import { execFile } from 'node:child_process';
import { LaunchError } from '../sandboxes/launcher.ts';
import type { Interpreter } from './interpreters.ts';

/** The folder that holds debugpy. Rejects with LaunchError where the interpreter has none. */
export function debuggerFor({ path }: Interpreter): Promise<string> {
  const question = 'import debugpy, os; print(os.path.dirname(os.path.dirname(debugpy.__file__)))';
  return new Promise((resolve, reject) => {
    execFile(path, ['-c', question], { timeout: 20_000 }, (error, stdout) => {
      if (error === null) return resolve(stdout.trim());
      reject(new LaunchError('NODEBUGGER', `debugging needs debugpy: ${path} -m pip install debugpy`));
    });
  });
}
