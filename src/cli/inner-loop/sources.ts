import { stat } from 'node:fs/promises';
import { dirname, sep } from 'node:path';
import { type FSWatcher, watch } from 'chokidar';
import type { Timer } from '../../kernel/clock/contract.ts';
import { WallClock } from '../../kernel/clock/wall.ts';
import { wait } from '../wait.ts';
import { isBelow } from './local-functions.ts';

/** An editor saves in several steps; a change is taken up when it has been quiet for so long. */
const quietMs = 30;
/** Of a change within 50 ms of another one of the same file chokidar says nothing: then we look. */
const secondLookMs = 80;

/** @param sinceMs when the first of the changes was seen, by `performance.now()`. */
export type OnChange = (paths: readonly string[], sinceMs: number) => void;

/** A template and what it names: files and folders that may be removed and made anew. */
export class Sources {
  readonly #templatePath: string;
  readonly #onChange: OnChange;
  readonly #clock = new WallClock();
  readonly #watcher: FSWatcher;
  readonly #changed = new Set<string>();
  #roots: readonly string[];
  #sinceMs = 0;
  #timer: Timer | undefined;
  #closed = false;
  /** Resolves when changes are seen. */
  readonly ready: Promise<void>;

  constructor(templatePath: string, roots: readonly string[], onChange: OnChange) {
    this.#templatePath = templatePath;
    this.#roots = roots;
    this.#onChange = onChange;
    // A folder that a build removes takes its own watch with it: the one above tells when it is there again.
    this.#watcher = watch(this.#bases(), { ignoreInitial: true, ignored: (path) => !this.#isWanted(path) });
    this.ready = new Promise((resolve) => this.#watcher.once('ready', () => resolve()));
    this.#watcher.on('all', (_event, path) => this.#take(path));
  }

  /** After the template has changed. */
  follow(roots: readonly string[]): void {
    const added = roots.filter((root) => !this.#roots.includes(root));
    this.#roots = roots;
    // What chokidar is given again it opens again, after it was closed, too: then it would keep the process from ending.
    if (added.length > 0 && !this.#closed) this.#watcher.add([...this.#bases(), ...added]);
  }

  /** What had been seen and not been told is told. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#watcher.close();
    this.#tell();
  }

  #bases(): string[] {
    const folder = dirname(this.#templatePath);
    return [folder, ...this.#roots.filter((root) => !isBelow(root, folder)).map((root) => dirname(root))];
  }

  #isWanted(path: string): boolean {
    if (path === this.#templatePath) return true;
    for (const root of this.#roots) {
      if (isBelow(root, path)) return true;
      if (isBelow(path, root) && !isForeign(path.slice(root.length))) return true;
    }
    return isBelow(this.#templatePath, path);
  }

  #take(path: string): void {
    const isTold = path === this.#templatePath || this.#roots.some((root) => isBelow(path, root));
    if (!isTold) return;
    if (this.#changed.size === 0) this.#sinceMs = performance.now();
    this.#changed.add(path);
    this.#timer?.cancel();
    this.#timer = this.#clock.at(this.#clock.now() + quietMs, () => this.#tell());
  }

  #tell(): void {
    this.#timer?.cancel();
    if (this.#changed.size === 0) return;
    const paths = [...this.#changed];
    this.#changed.clear();
    this.#onChange(paths, this.#sinceMs);
    void this.#lookAgain(paths);
  }

  async #lookAgain(paths: readonly string[]): Promise<void> {
    const seen = await Promise.all(paths.map(stampOf));
    await wait(secondLookMs);
    const now = await Promise.all(paths.map(stampOf));
    if (this.#closed) return;
    for (const [place, path] of paths.entries()) if (now[place] !== seen[place]) this.#take(path);
  }
}

/** Another one after each change of a file. */
async function stampOf(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() === true ? `${found.mtimeMs} ${found.size} ${found.ino}` : '';
}

/** Nobody writes in these by hand. */
function isForeign(below: string): boolean {
  return below.split(sep).some((name) => name === 'node_modules' || name === '.git' || name === '.unkai');
}
