import type { Caller } from '../../../platform/context.ts';
import type { Handlers } from '../../../platform/service.ts';
import type { Environment } from '../environment.ts';
import { badRequest, partNotFound } from '../errors.ts';
import type { ApiRecord } from '../state.ts';
import { checkTags } from './shared.ts';

type Tags = Readonly<Record<string, string>>;

/** Tags of APIs and stages, by ARN. */
export function tagOperations(
  env: Environment,
): Pick<Handlers<'apigatewayv2'>, 'GetTags' | 'TagResource' | 'UntagResource'> {
  const edit = (context: Caller, arn: string, change: (tags: Tags) => Tags): Promise<void> => {
    const { apiId, stageName } = parse(arn);
    return env.change(context, apiId, (api) => {
      const tags = change(tagsOf(api, stageName));
      if (stageName === undefined) return { api: { ...api, tags }, result: () => undefined };
      const stage = { ...api.stages[stageName]!, Tags: tags };
      return { api: { ...api, stages: { ...api.stages, [stageName]: stage } }, result: () => undefined };
    });
  };
  return {
    async GetTags(context, { ResourceArn }) {
      const { apiId, stageName } = parse(ResourceArn);
      return { Tags: tagsOf(await env.read(context, apiId), stageName) };
    },
    async TagResource(context, { ResourceArn, Tags }) {
      await edit(context, ResourceArn, (tags) => checkTags({ ...tags, ...Tags }));
      return {};
    },
    async UntagResource(context, { ResourceArn, TagKeys }) {
      await edit(context, ResourceArn, (tags) =>
        Object.fromEntries(Object.entries(tags).filter(([key]) => !TagKeys.includes(key))),
      );
    },
  };
}

function tagsOf(api: ApiRecord, stageName: string | undefined): Tags {
  if (stageName === undefined) return api.tags;
  const stage = api.stages[stageName];
  if (stage === undefined) throw partNotFound('Stage', stageName);
  return stage.Tags;
}

function parse(arn: string): { readonly apiId: string; readonly stageName: string | undefined } {
  const match = /^arn:[^:]+:apigateway:[^:]*::\/(?:v2\/)?apis\/([^/]+)(?:\/stages\/([^/]+))?$/.exec(arn);
  if (match === null) throw badRequest('Invalid resource ARN specified in the request');
  return { apiId: match[1]!, stageName: match[2] };
}
