import type { FunctionVersion } from '../state.ts';

/** All of a version that an environment is told of or made by, its code excepted, as text. */
export function configurationTold(version: FunctionVersion): string {
  const { runtime, handler, timeoutSeconds, memoryMb, ephemeralStorageMb, architecture, role, vpc } = version;
  const { variables, layers, image, jsonLogs, logGroup } = version;
  return JSON.stringify([
    [runtime, handler, timeoutSeconds, memoryMb, ephemeralStorageMb, architecture, role, vpc],
    [variables, layers, image?.config, jsonLogs, logGroup],
  ]);
}

/** Whether environments of the one could serve the other, if it were not for their code. */
export function sameButForCode(one: FunctionVersion, other: FunctionVersion): boolean {
  return one.version === other.version && configurationTold(one) === configurationTold(other);
}
