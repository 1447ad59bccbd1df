import { createHash } from 'node:crypto';
import type { Caller } from '../../platform/context.ts';
import { AwsError } from '../../wire/errors.ts';
import { servedLatest } from './directory.ts';
import type { Engine } from './engine.ts';
import { configurationTold } from './rules/configuration-told.ts';
import { functionNotFound, parseFunctionName } from './rules/names.ts';

/**
 * What invocations of a function's $LATEST run now: `serves` is another whenever its code or configuration is (of code in a folder that
 * somebody works on: whenever he has said so).
 */
export async function inspectFunction(
  { directory, workbench }: Engine,
  caller: Caller,
  query: Readonly<Record<string, unknown>>,
): Promise<{ readonly functionName: string; readonly serves: string }> {
  const { functionName } = query;
  if (typeof functionName !== 'string') throw new AwsError('InvalidParameterValueException', 'functionName is missing');
  const place = { account: caller.account, region: caller.region };
  const { name } = parseFunctionName(functionName, undefined, place);
  const entry = await directory.find(place, name);
  if (entry === undefined) throw functionNotFound(place, name, undefined);
  const version = servedLatest(entry.record);
  const piece = workbench.find({ place, functionName: name, version });
  const parts = [
    configurationTold(version),
    // The package is uploaded behind a change in the folder, and brings nothing new.
    piece?.directory === undefined ? version.codeDigest : piece.directory,
    workbench.changes(place, name),
  ];
  return { functionName: name, serves: createHash('sha256').update(JSON.stringify(parts)).digest('hex') };
}
