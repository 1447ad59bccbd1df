import { Command, CommanderError, Option } from 'commander';
import { version } from '../version.ts';
import { type CloudClient, connect, findEndpoint } from './client.ts';
import type { StartOptions } from './commands/start.ts';
import { CliError } from './error.ts';
import { createTerminal, reportError, type Terminal } from './terminal.ts';

/** Commands load when chosen: `unkai status` must not pay for a template engine. */
export async function main(argv: readonly string[]): Promise<number> {
  const program = new Command('unkai')
    .description('Runs AWS serverless applications on your own machine.')
    .version(version)
    .addOption(
      new Option(
        '--endpoint <url>',
        'the cloud to talk to (else UNKAI_ENDPOINT, AWS_ENDPOINT_URL, http://127.0.0.1:4566)',
      ),
    )
    .addOption(
      new Option('--region <region>', 'the AWS region meant').default(
        process.env['AWS_REGION'] ?? process.env['AWS_DEFAULT_REGION'] ?? 'us-east-1',
      ),
    )
    .addOption(new Option('--account <id>', 'the 12-digit account meant (default 000000000000)'))
    .option('--json', 'print JSON')
    .showHelpAfterError('(unkai --help tells what there is)')
    .exitOverride();

  const globals = (): { json?: boolean; endpoint?: string; region: string; account?: string } => program.opts();
  const wantsJson = argv.includes('--json');
  if (wantsJson) program.configureOutput({ writeErr: () => {} });
  let terminal: Terminal = createTerminal(wantsJson);
  const client = (): CloudClient => {
    const { endpoint, region, account } = globals();
    return connect({ endpoint: findEndpoint(endpoint), region, ...(account === undefined ? {} : { account }) });
  };
  const command = (spec: string, description: string, parent: Command = program): Command =>
    parent.command(spec).description(description).option('--json', 'print JSON').exitOverride();
  program.hook('preAction', (_program, action) => {
    terminal = createTerminal(globals().json === true || action.opts()['json'] === true);
  });

  startOptions(command('start', 'run a cloud until it is interrupted')).action(async (options: StartOptions) => {
    await (await import('./commands/start.ts')).start(terminal, options);
  });
  startOptions(command('up <dir>', 'start if needed, deploy, then follow changes of code and template'))
    .option('--stack <name>', "the stack's name (default: the folder's)")
    .option('--parameter <key=value...>', 'a parameter of the template')
    .option('--debug <function>', 'let this function wait for a debugger (may be given again)', appended)
    .option('--debug-port <n>', 'the first port for debuggers (default 9229; Python 5678, Java 5005)')
    .action(async (dir: string, options) => {
      await (await import('./commands/up.ts')).up(terminal, globals(), dir, options);
    });
  command('deploy <target>', 'deploy a template, or the folder that holds template.yaml')
    .option('--stack <name>', "the stack's name (default: the folder's)")
    .option('--parameter <key=value...>', 'a parameter of the template')
    .action(async (target: string, options) => {
      await (await import('./commands/deploy.ts')).deploy(terminal, client(), target, options);
    });
  command('delete <stack>', 'delete a stack and what it made').action(async (stack: string) => {
    await (await import('./commands/deploy.ts')).deleteStack(terminal, client(), stack);
  });
  command('status', 'what runs here').action(async () => {
    await (await import('./commands/status.ts')).status(terminal, client());
  });
  command('logs [function]', "functions' logs")
    .option('-f, --follow', 'go on as lines come')
    .option('--since <duration>', 'only lines of this last while, like 10m')
    .option('--filter <pattern>', 'a CloudWatch Logs filter pattern')
    .action(async (name: string | undefined, options) => {
      await (await import('./commands/logs.ts')).logs(terminal, client(), name, options);
    });
  command('invoke <function>', 'invoke a function')
    .option('-p, --payload <json>', 'the event')
    .option('-e, --event <file>', 'a file that holds the event, or - for standard input')
    .option('--async', 'do not wait for the answer')
    .option('-w, --watch', 'invoke again whenever the function or the event file changes')
    .action(async (name: string, options) => {
      await (await import('./commands/invoke.ts')).invoke(terminal, client(), name, options);
    });
  command(
    'reach [port...]',
    "let functions in bubblewrap reach these ports of this machine's loopback on theirs; tell which they reach",
  ).action(async (ports: string[]) => (await import('./commands/reach.ts')).reach(terminal, client(), ports));
  command('queues', 'depths, ages, messages in flight, dead-letter queues').action(async () => {
    await (await import('./commands/queues.ts')).queues(terminal, client());
  });
  command('redrive <queue>', "move a dead-letter queue's messages back to where they came from")
    .option('--to <queue>', 'move them here instead')
    .option('--rate <n>', 'messages per second at most')
    .action(async (name: string, options) => {
      await (await import('./commands/queues.ts')).redrive(terminal, client(), name, options);
    });

  const image = command('image', 'container images for functions');
  command('load <path>', 'load an OCI layout or archive, or what docker save wrote', image)
    .option('--name <repo:tag>', 'its name here (default: the one it was saved under)')
    .option('--image <name>', 'of several images in the file, the one of this name or tag')
    .option('--platform <platform>', "linux/amd64 or linux/arm64 (default: this machine's)")
    .action(async (path: string, options) =>
      (await import('./commands/image.ts')).imageLoad(terminal, client(), path, options),
    );
  command('list', 'which there are', image).action(async () =>
    (await import('./commands/image.ts')).imageList(terminal, client()),
  );
  command('remove <repo:tag>', 'forget a name; functions that run the image keep it', image).action(
    async (name: string) => (await import('./commands/image.ts')).imageRemove(terminal, client(), name),
  );

  const clock = command('clock', 'cloud time');
  command('status', 'what time it is', clock).action(async () =>
    (await import('./commands/clock.ts')).clockStatus(terminal, client()),
  );
  command('freeze', 'let time stand still while nothing runs', clock).action(async () =>
    (await import('./commands/clock.ts')).clockFreeze(terminal, client()),
  );
  command('resume', 'let time flow', clock).action(async () =>
    (await import('./commands/clock.ts')).clockResume(terminal, client()),
  );
  command('advance <duration>', 'move on by a duration like 90s or 2h, doing all that becomes due', clock).action(
    async (duration: string) => (await import('./commands/clock.ts')).clockAdvance(terminal, client(), duration),
  );
  command('set <time>', 'move on to a time like 2026-12-24T18:00:00Z', clock).action(async (time: string) =>
    (await import('./commands/clock.ts')).clockSet(terminal, client(), time),
  );

  const runtimes = command('runtimes', "functions' languages, and what AWS's runtimes bring");
  command('install [language...]', 'prepare the AWS SDK (nodejs) and boto3 (python) from package registries', runtimes)
    .option('--all', 'many more clients of the AWS SDK')
    .option('--data <dir>', 'the folder that keeps everything', '.unkai')
    .option('--ephemeral', 'for clouds that keep nothing on disk')
    .action(async (names: string[], options) =>
      (await import('./commands/runtimes.ts')).install(terminal, names, options),
    );
  command('list', 'which interpreters run functions here, and what is prepared for them', runtimes)
    .option('--data <dir>', 'the folder that keeps everything', '.unkai')
    .option('--ephemeral', 'of clouds that keep nothing on disk')
    .action(async (options) => (await import('./commands/runtimes.ts')).list(terminal, options));

  const fault = command('fault', 'faults that really happen when asked for');
  command('list', 'which there are, and which are on', fault).action(async () =>
    (await import('./commands/fault.ts')).faultList(terminal, client()),
  );
  command('set <point> <scope>', 'switch one on for a scope (an ARN, service.Operation, or *)', fault)
    .option('--rate <rate>', 'the share of chances that it takes, 0 to 1', '1')
    .option('--seed <n>', 'the same seed, the same faults', '1')
    .option('--times <n>', 'so often at most')
    .action(async (point: string, scope: string, options) =>
      (await import('./commands/fault.ts')).faultSet(terminal, client(), point, scope, options),
    );
  for (const [name, what] of [
    ['duplicate', 'deliver messages of a standard queue twice'],
    ['reorder', 'let messages of a standard queue overtake others'],
  ] as const) {
    command(`${name} <queue>`, what, fault)
      .option('--rate <rate>', 'the share of messages, 0 to 1', '0.05')
      .option('--seed <n>', 'the same seed, the same faults', '1')
      .option('--times <n>', 'so often at most')
      .action(async (queue: string, options) =>
        (await import('./commands/fault.ts')).faultOnQueue(terminal, client(), `sqs.${name}`, queue, options),
      );
  }
  command('clear', 'switch all off', fault).action(async () =>
    (await import('./commands/fault.ts')).faultClear(terminal, client()),
  );

  command('stop', 'end the cloud; everything durable stays').action(async () => {
    await (await import('./commands/stop.ts')).stop(terminal, client());
  });

  try {
    await program.parseAsync([...argv], { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) {
      // Asking for help or the version is no error. What was wrong commander has printed, for people.
      if (error.exitCode === 0) return 0;
      if (wantsJson)
        reportError(new CliError('Usage', error.message.replace(/^error: /, ''), 'see: unkai --help'), true);
      return 2;
    }
    return reportError(error, terminal.json);
  }
}

function appended(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

function startOptions(command: Command): Command {
  return command
    .option('--port <n>', 'the port (0: any free one)', '4566')
    .option('--host <address>', 'the address to listen on', '127.0.0.1')
    .option('--data <dir>', 'the folder that keeps everything', '.unkai')
    .option('--ephemeral', 'keep everything in memory, nothing on disk')
    .option('--store <url>', 'a PostgreSQL database shared by several processes')
    .option('--clock <kind>', 'wall, or virtual: time stands still until it is advanced', 'wall')
    .option('--limits <profile>', 'aws, or relaxed: no rates and no adjustable quotas', 'aws')
    .option('--auth <mode>', 'off; signed: signatures are verified; enforced: and IAM decides', 'off')
    .option('--sandbox <kind>', 'what functions run in: auto; process; bubblewrap (Linux)', 'auto')
    .option('--reach <port...>', "ports of this machine's loopback that functions in bubblewrap reach on theirs");
}
