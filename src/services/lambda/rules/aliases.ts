import type { AliasConfiguration, AliasRoutingConfiguration } from '../../../wire/types/lambda.ts';
import type { AliasRecord, Place } from '../state.ts';
import { functionArn, invalidParameter } from './names.ts';

/**
 * The weights of a routing configuration, checked. Wording: LocalStack's recorded AWS responses
 * (test_notfound_and_invalid_routingconfigs). `Map value` and `Map keys` constraints are the model's.
 */
export function checkedWeights(
  routing: AliasRoutingConfiguration | undefined,
  version: string,
): Readonly<Record<string, number>> | undefined {
  const weights = routing?.AdditionalVersionWeights;
  if (weights === undefined) return undefined;
  const versions = Object.keys(weights);
  if (versions.length > 1)
    throw invalidParameter('Number of items in AdditionalVersionWeights cannot be greater than 1');
  if (versions.includes(version))
    throw invalidParameter(
      `Invalid function version ${version}. Function version ${version} is already included in routing configuration.`,
    );
  if (versions.length > 0 && version === '$LATEST')
    throw invalidParameter('$LATEST is not supported for an alias pointing to more than 1 version');
  return versions.length === 0 ? undefined : weights;
}

/** The version that serves an invocation; `chance` is drawn from [0, 1). */
export function chosenVersion(alias: AliasRecord, chance: number): string {
  let passed = 0;
  for (const [version, weight] of Object.entries(alias.weights ?? {})) {
    passed += weight;
    if (chance < passed) return version;
  }
  return alias.version;
}

export function describeAlias(place: Place, functionName: string, alias: AliasRecord): AliasConfiguration {
  return {
    AliasArn: functionArn(place, functionName, alias.name),
    Name: alias.name,
    FunctionVersion: alias.version,
    Description: alias.description,
    RoutingConfig: alias.weights === undefined ? undefined : { AdditionalVersionWeights: alias.weights },
    RevisionId: alias.revisionId,
  };
}
