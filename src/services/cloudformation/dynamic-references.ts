import type { DynamicLookup } from '../../deploy/dynamic-references.ts';
import { TemplateError } from '../../deploy/errors.ts';
import type { Caller } from '../../platform/context.ts';
import type { Bus } from '../../platform/service.ts';

/**
 * Looks up `{{resolve:ssm:name:version}}` and `{{resolve:secretsmanager:id:SecretString:key:stage:version}}` at those services.
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html
 */
export function dynamicReference(bus: Bus, caller: Caller): DynamicLookup {
  return async (service, reference) => {
    if (service !== 'secretsmanager') {
      const answer = await bus.callByName(caller, 'ssm', 'GetParameter', {
        Name: reference,
        WithDecryption: service === 'ssm-secure',
      });
      return (answer as { Parameter: { Value: string } }).Parameter.Value;
    }
    const arn = /^(arn:[^:]+:secretsmanager:[^:]*:[^:]*:secret:[^:]+)(?::(.*))?$/.exec(reference);
    const [id, rest] = arn === null ? cut(reference) : [arn[1] as string, arn[2] ?? ''];
    const [, key = '', stage = '', version = ''] = rest.split(':');
    const answer = await bus.callByName(caller, 'secretsmanager', 'GetSecretValue', {
      SecretId: id,
      ...(stage !== '' && { VersionStage: stage }),
      ...(version !== '' && { VersionId: version }),
    });
    const { SecretString: secret = '' } = answer as { SecretString?: string };
    if (key === '') return secret;
    const value = valueIn(secret, key);
    if (value === undefined) throw new TemplateError(`Could not find a value associated with JSONKey in SecretString`);
    return value;
  };
}

function cut(reference: string): [string, string] {
  const colon = reference.indexOf(':');
  return colon < 0 ? [reference, ''] : [reference.slice(0, colon), reference.slice(colon + 1)];
}

function valueIn(secret: string, key: string): string | undefined {
  try {
    const value = (JSON.parse(secret) as Record<string, unknown>)[key];
    return value === undefined ? undefined : String(value);
  } catch {
    throw new TemplateError('Could not parse SecretString JSON');
  }
}
