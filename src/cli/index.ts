import { main } from './main.ts';

// The exit code is set, not forced: what was printed into a pipe must get out first.
main(process.argv.slice(2)).then((code) => {
  process.exitCode = code;
});
