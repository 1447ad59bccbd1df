import type { Key } from '../../../kernel/store/contract.ts';
import { parseArn } from '../../../platform/arn.ts';
import type { Handlers } from '../../../platform/service.ts';
import type { Engine } from '../engine.ts';
import { lambdaLimits } from '../limits.ts';
import { codeSigningMissing } from '../rules/code-signing.ts';
import { unbuilt } from '../rules/configuration.ts';
import { functionNotFound, invalidParameter, mappingArn, notFound } from '../rules/names.ts';
import {
  type CodeSigningRecord,
  encode,
  type FunctionRecord,
  keys,
  type MappingRecord,
  type Place,
  read,
  unchanged,
} from '../state.ts';
import { transact } from '../transaction.ts';
import { placeOf } from './support.ts';

type TagOperations = 'TagResource' | 'UntagResource' | 'ListTags';
type Tags = Readonly<Record<string, string>>;

export function checkTags(tags: Tags): void {
  if (Object.keys(tags).length > lambdaLimits.tags.value)
    throw invalidParameter('Number of tags exceeds resource tag limit.');
}

export function tagOperations(engine: Engine): Pick<Handlers<'lambda'>, TagOperations> {
  const { store } = engine.platform;
  const change = async (place: Place, arn: string, apply: (tags: Tags) => Tags): Promise<void> => {
    const resource = taggedResource(place, arn);
    await transact(store, async () => {
      const stored = await read<CodeSigningRecord | FunctionRecord | MappingRecord>(store, resource.key);
      if (stored === undefined) throw resource.missing();
      const tags = apply(stored.record.tags);
      checkTags(tags);
      const set = [{ key: stored.key, value: encode({ ...stored.record, tags }) }];
      return { commit: { checks: [unchanged(stored.key, stored)], set }, result: undefined };
    });
    if (resource.functionName !== undefined) engine.directory.forget(place, resource.functionName);
  };
  return {
    async TagResource(context, input) {
      if (Object.keys(input.Tags).length === 0)
        throw invalidParameter('An error occurred and the request cannot be processed.');
      await change(placeOf(context), input.Resource, (tags) => ({ ...tags, ...input.Tags }));
    },

    async UntagResource(context, input) {
      const gone = new Set(input.TagKeys);
      await change(placeOf(context), input.Resource, (tags) =>
        Object.fromEntries(Object.entries(tags).filter(([name]) => !gone.has(name))),
      );
    },

    async ListTags(context, input) {
      const resource = taggedResource(placeOf(context), input.Resource);
      const stored = await read<CodeSigningRecord | FunctionRecord | MappingRecord>(store, resource.key);
      if (stored === undefined) throw resource.missing();
      return { Tags: stored.record.tags };
    },
  };
}

function taggedResource(
  place: Place,
  text: string,
): { readonly key: Key; readonly functionName?: string; readonly missing: () => Error } {
  const [kind, name = '', qualifier] = parseArn(text)?.resource.split(':') ?? [];
  switch (kind) {
    case 'function':
      if (qualifier !== undefined)
        throw invalidParameter(
          'Tags on function aliases and versions are not supported. Please specify a function ARN.',
        );
      return {
        key: keys.function(place, name),
        functionName: name,
        missing: () => functionNotFound(place, name),
      };
    case 'event-source-mapping':
      return {
        key: keys.mapping(place, name),
        missing: () => notFound(`Event source mapping not found: ${mappingArn(place, name)}`),
      };
    case 'code-signing-config':
      return { key: keys.codeSigning(place, name), missing: () => codeSigningMissing(text) };
    default:
      throw unbuilt(`Tagging a ${kind}`);
  }
}
