import { describe, test } from 'vitest';
import { runFifo } from './interleaving.test-support.ts';

const long = process.env['UNKAI_LONG'] === '1';
const seeds = Array.from({ length: long ? 100 : 6 }, (_, index) => index + 1);

describe('random interleavings on a FIFO queue', () => {
  test.each(seeds)('lose nothing and keep the order of every group (seed %d)', (seed) => runFifo(seed, 400));
});
