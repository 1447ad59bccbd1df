/**
 * Several programs in one bubblewrap: a small shell script inside starts the external extensions beside the function's program, tells what
 * becomes of them, and takes orders, on descriptor 5.
 */
import type { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import type { Companion, ExitStatus, LaunchedProcess, Program } from './launcher.ts';
import { runtimeOnlyVariables } from './variables.ts';

/**
 * Its arguments: the number of companions, they themselves, the program's command line. It says `o INDEX LINE` (a companion's output),
 * `x INDEX STATUS` (a companion's end, behind an empty line of output), `p PID` (the program has been started) and `e STATUS` (its end);
 * it hears `go`, and then `TERM PID` and `KILL PID`. Companions see the function's environment without what is the runtime's.
 */
const script = `
mark=$(printf '\\001')
companion() {
  {
    (unset ${runtimeOnlyVariables.join(' ')}; exec "$2") 2>&1 5>&-
    printf '\\n\\001%s\\n' "$?"
  } | while IFS= read -r line || [ -n "$line" ]; do
    case $line in
      "$mark"*) printf 'x %s %s\\n' "$1" "\${line#"$mark"}" >&5 ;;
      *) printf 'o %s %s\\n' "$1" "$line" >&5 ;;
    esac
  done
}
count=$1; shift; index=0
while [ $index -lt $count ]; do
  companion $index "$1" </dev/null &
  shift; index=$((index + 1))
done
read -r order <&5 || exit 1
(
  setsid "$@" 5>&- &
  program=$!
  echo "p $program" >&5
  wait $program
  echo "e $?" >&5
) &
exec >/dev/null 2>&1
while read -r order program <&5; do kill -s "$order" -- "-$program"; done
wait
`;

export function supervisedCommand(companions: readonly Program[], { command, args }: Program): string[] {
  const commands = companions.map((companion) => companion.command);
  return ['/bin/sh', '-c', script, 'sh', String(companions.length), ...commands, command, ...args];
}

/** The other end of the script's descriptor. */
export class Supervised {
  readonly companions: readonly Companion[];
  readonly exited: Promise<ExitStatus>;
  readonly #gate: Socket;
  readonly #ends: { readonly stdout: PassThrough; readonly resolve: (status: ExitStatus) => void; empty: boolean }[] =
    [];
  #programEnded: (status: ExitStatus) => void = () => {};
  #program: string | undefined;
  #rest = '';

  constructor(gate: Socket, companions: number) {
    this.#gate = gate;
    this.exited = new Promise((resolve) => {
      this.#programEnded = resolve;
    });
    this.companions = Array.from({ length: companions }, () => {
      const stdout = new PassThrough();
      const stderr = new PassThrough();
      stderr.end();
      const exited = new Promise<ExitStatus>((resolve) => this.#ends.push({ stdout, resolve, empty: false }));
      return { stdout, stderr, exited };
    });
    gate.setEncoding('utf8');
    gate.on('data', (text: string) => this.#read(text));
    gate.on('error', () => {
      // The sandbox has ended, which its exit tells.
    });
  }

  proceed(): void {
    this.#gate.write('go\n');
  }

  endProgram(signal: Parameters<LaunchedProcess['endProgram']>[0]): void {
    if (this.#program !== undefined) this.#gate.write(`${signal.slice(3)} ${this.#program}\n`);
    else this.#programEnded({ code: null, signal });
  }

  /** The whole sandbox has ended: so has everything in it that had not. */
  end(status: ExitStatus): void {
    this.#programEnded(status);
    for (const { stdout, resolve } of this.#ends) {
      stdout.end();
      resolve(status);
    }
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) this.#heard(line);
  }

  #heard(line: string): void {
    const [, kind, first = '', rest = ''] = /^([oxpe]) (\d+) ?(.*)$/.exec(line) ?? [];
    const companion = this.#ends[Number(first)];
    if (kind === 'p') this.#program = first;
    else if (kind === 'e') this.#programEnded(statusOf(Number(first), null));
    else if (companion === undefined) return;
    else if (kind === 'x') {
      companion.stdout.end();
      companion.resolve(statusOf(Number(rest), null));
    } else {
      if (companion.empty) companion.stdout.write('\n');
      companion.empty = rest === '';
      if (rest !== '') companion.stdout.write(`${rest}\n`);
    }
  }
}

/** bubblewrap and shells tell of a signal as 128 and its number. Only what kills is read so: 128 and 129 are exit codes of our Node runtime. */
export function statusOf(code: number | null, signal: NodeJS.Signals | null): ExitStatus {
  const signals: Readonly<Record<number, NodeJS.Signals>> = {
    132: 'SIGILL',
    133: 'SIGTRAP',
    134: 'SIGABRT',
    135: 'SIGBUS',
    136: 'SIGFPE',
    137: 'SIGKILL',
    139: 'SIGSEGV',
    143: 'SIGTERM',
  };
  const told = code === null ? undefined : signals[code];
  return told === undefined ? { code, signal } : { code: null, signal: told };
}
