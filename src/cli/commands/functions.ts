import type { CloudClient } from '../client.ts';
import { CliError } from '../error.ts';

/** A function's name by its name, its ARN, or the part of it that people remember: the logical id of its template. */
export async function findFunction(client: CloudClient, name: string): Promise<string> {
  const names: string[] = [];
  let marker: string | undefined;
  do {
    const page = await client.call('lambda', 'ListFunctions', marker === undefined ? {} : { Marker: marker });
    for (const { FunctionName, FunctionArn } of page.Functions ?? []) {
      if (FunctionName === name || FunctionArn === name) return FunctionName!;
      names.push(FunctionName!);
    }
    marker = page.NextMarker;
  } while (marker !== undefined && marker !== '');
  const matching = names.filter((candidate) => candidate.includes(name));
  if (matching.length === 1) return matching[0]!;
  if (matching.length > 1)
    throw new CliError('AmbiguousFunction', `'${name}' could be several functions`, `they are: ${matching.join(', ')}`);
  throw new CliError(
    'NoSuchFunction',
    `there is no function '${name}'`,
    names.length === 0 ? 'deploy some with: unkai deploy DIR' : `there are: ${names.join(', ')}`,
  );
}
