import type { CloudClient } from '../client.ts';
import { parsePort } from '../parsing.ts';
import type { Terminal } from '../terminal.ts';

/** Environments that start from now on reach these ports of this machine as well; without any, only tells. */
export async function reach(terminal: Terminal, client: CloudClient, named: readonly string[]): Promise<void> {
  const ports = named.map((text) => parsePort(text, 1));
  const answer =
    ports.length === 0 ? await client.control('GET', 'reach') : await client.control('PUT', 'reach', { ports });
  const { ports: all } = answer as { readonly ports: readonly number[] };
  terminal.data({ ports: all });
  terminal.line(all.length === 0 ? 'no port of this machine' : all.join(' '));
}
