import type { Commit } from '../../../kernel/store/contract.ts';
import type { Handlers } from '../../../platform/service.ts';
import { type Environment, newId } from '../environment.ts';
import { badRequest, conflict, notFound, partNotFound, tooMany } from '../errors.ts';
import { apiGatewayLimits } from '../limits.ts';
import { checkStageName, checkStageSettings, noRoutesText, patched } from '../rules/stages.ts';
import {
  type ApiRecord,
  configurationOf,
  type DeploymentRecord,
  encode,
  frozenKey,
  type StageRecord,
} from '../state.ts';
import { checkTags, page, sorted, without } from './shared.ts';

type StageOperations = Pick<
  Handlers<'apigatewayv2'>,
  | 'CreateStage'
  | 'GetStage'
  | 'GetStages'
  | 'UpdateStage'
  | 'DeleteStage'
  | 'DeleteRouteSettings'
  | 'DeleteAccessLogSettings'
  | 'CreateDeployment'
  | 'GetDeployment'
  | 'GetDeployments'
  | 'UpdateDeployment'
  | 'DeleteDeployment'
>;

export function stageOperations(env: Environment): StageOperations {
  const { random, limits } = env.platform;

  async function changeStage(
    context: Parameters<Environment['change']>[0],
    apiId: string,
    name: string,
    edit: (stage: StageRecord) => StageRecord,
  ): Promise<void> {
    await env.change(context, apiId, (api, nowMs) => {
      const stage = { ...edit(stageOf(api, name)), LastUpdatedDate: nowMs };
      return { api: { ...api, stages: { ...api.stages, [name]: stage } }, result: () => undefined };
    });
  }

  return {
    async CreateStage(context, input) {
      const { StageName: name } = input;
      checkStageName(name);
      const { id: token, repeatable } = newId(input, 'stage', 20, random);
      return env.change(context, input.ApiId, (api, nowMs) => {
        const before = api.stages[name];
        if (before !== undefined) {
          if (repeatable && before.madeBy === token) return { api, result: () => before };
          throw conflict('Stage already exists');
        }
        if (limits === 'aws' && Object.keys(api.stages).length >= apiGatewayLimits.stages.value) throw tooMany('Stage');
        checkStageSettings(input, api);
        const autoDeploy = input.AutoDeploy ?? false;
        if (autoDeploy && input.DeploymentId !== undefined)
          throw badRequest('DeploymentId must not be set where AutoDeploy is true');
        const pinned = input.DeploymentId === undefined ? undefined : pin(api, input.DeploymentId);
        const stage: StageRecord = {
          StageName: name,
          AutoDeploy: autoDeploy,
          CreatedDate: nowMs,
          LastUpdatedDate: nowMs,
          DefaultRouteSettings: { DetailedMetricsEnabled: false, ...input.DefaultRouteSettings },
          RouteSettings: input.RouteSettings ?? {},
          StageVariables: input.StageVariables ?? {},
          Tags: checkTags(input.Tags ?? {}),
          ...(input.AccessLogSettings === undefined ? {} : { AccessLogSettings: input.AccessLogSettings }),
          ...(input.Description ? { Description: input.Description } : {}),
          ...(input.DeploymentId === undefined ? {} : { DeploymentId: input.DeploymentId }),
          ...(repeatable ? { madeBy: token } : {}),
        };
        const from = pinned?.api ?? api;
        return {
          api: { ...from, stages: { ...from.stages, [name]: stage } },
          deploys: autoDeploy,
          ...(pinned === undefined ? {} : { set: pinned.set }),
          result: (after) => after.stages[name]!,
        };
      });
    },

    async GetStage(context, { ApiId, StageName }) {
      return stageOf(await env.read(context, ApiId), StageName);
    },

    async GetStages(context, input) {
      const api = await env.read(context, input.ApiId);
      return page(sorted(api.stages), (stage) => stage.StageName, input);
    },

    async UpdateStage(context, input) {
      const { ApiId, StageName: name } = input;
      return env.change(context, ApiId, (api, nowMs) => {
        const before = stageOf(api, name);
        checkStageSettings(input, api);
        const autoDeploy = input.AutoDeploy ?? before.AutoDeploy ?? false;
        if (autoDeploy && input.DeploymentId)
          throw badRequest('Deployment ID cannot be set on stages with AutoDeploy enabled');
        // A stage that no longer deploys by itself, or is given a deployment, keeps that one as it is.
        const wanted =
          input.DeploymentId || (!autoDeploy && before.AutoDeploy === true ? before.DeploymentId : undefined);
        const pinned = wanted === undefined ? undefined : pin(api, wanted);
        const settings = input.DefaultRouteSettings;
        const description = input.Description ?? before.Description;
        const { Description: _description, ...rest } = before;
        const stage: StageRecord = {
          ...rest,
          AutoDeploy: autoDeploy,
          LastUpdatedDate: nowMs,
          DefaultRouteSettings: { ...before.DefaultRouteSettings, ...settings },
          RouteSettings: patched(before.RouteSettings, input.RouteSettings) ?? {},
          StageVariables: patched(before.StageVariables, input.StageVariables) ?? {},
          ...(description ? { Description: description } : {}),
          ...(input.AccessLogSettings === undefined ? {} : { AccessLogSettings: input.AccessLogSettings }),
          ...(wanted === undefined ? {} : { DeploymentId: wanted }),
        };
        const from = pinned?.api ?? api;
        return {
          api: { ...from, stages: { ...from.stages, [name]: stage } },
          deploys: autoDeploy && before.AutoDeploy !== true,
          ...(pinned === undefined ? {} : { set: pinned.set }),
          result: (after) => after.stages[name]!,
        };
      });
    },

    async DeleteStage(context, { ApiId, StageName }) {
      await env.change(context, ApiId, (api) => {
        stageOf(api, StageName);
        return { api: { ...api, stages: without(api.stages, StageName) }, result: () => undefined };
      });
    },

    async DeleteRouteSettings(context, { ApiId, StageName, RouteKey }) {
      await changeStage(context, ApiId, StageName, (stage) => {
        if (stage.RouteSettings?.[RouteKey] === undefined)
          throw notFound(`Unable to find Route by key ${RouteKey} within the provided RouteSettings`);
        return { ...stage, RouteSettings: without(stage.RouteSettings, RouteKey) };
      });
    },

    async DeleteAccessLogSettings(context, { ApiId, StageName }) {
      await changeStage(context, ApiId, StageName, ({ AccessLogSettings: _settings, ...stage }) => stage);
    },

    async CreateDeployment(context, input) {
      const { id, repeatable } = newId(input, 'deployment', 6, random);
      return env.change(context, input.ApiId, (api, nowMs) => {
        const before = api.deployments[id];
        if (repeatable && before !== undefined) return { api, result: () => before };
        if (Object.keys(api.routes).length === 0) throw badRequest(noRoutesText);
        const deployment: DeploymentRecord = {
          DeploymentId: id,
          AutoDeployed: false,
          CreatedDate: nowMs,
          DeploymentStatus: 'DEPLOYED',
          ...(input.Description ? { Description: input.Description } : {}),
          frozen: true,
        };
        let { stages } = api;
        if (input.StageName) {
          const stage = stageOf(api, input.StageName);
          if (stage.AutoDeploy === true)
            throw badRequest('Deployment ID cannot be set on stages with AutoDeploy enabled');
          stages = { ...stages, [input.StageName]: { ...stage, DeploymentId: id, LastUpdatedDate: nowMs } };
        }
        return {
          api: { ...api, stages, deployments: { ...api.deployments, [id]: deployment } },
          set: [{ key: frozenKey(api.apiId, id), value: encode(configurationOf(api)) }],
          result: () => deployment,
        };
      });
    },

    async GetDeployment(context, { ApiId, DeploymentId }) {
      return deploymentOf(await env.read(context, ApiId), DeploymentId);
    },

    async GetDeployments(context, input) {
      const api = await env.read(context, input.ApiId);
      return page(sorted(api.deployments), (deployment) => deployment.DeploymentId, input);
    },

    async UpdateDeployment(context, { ApiId, DeploymentId, Description }) {
      return env.change(context, ApiId, (api) => {
        const { Description: before, ...rest } = deploymentOf(api, DeploymentId);
        const text = Description ?? before;
        const deployment: DeploymentRecord = { ...rest, ...(text ? { Description: text } : {}) };
        const deployments = { ...api.deployments, [DeploymentId]: deployment };
        return { api: { ...api, deployments }, result: () => deployment };
      });
    },

    async DeleteDeployment(context, { ApiId, DeploymentId }) {
      await env.change(context, ApiId, (api) => {
        deploymentOf(api, DeploymentId);
        if (Object.values(api.stages).some((stage) => stage.DeploymentId === DeploymentId))
          throw badRequest('Active stages pointing to this deployment must be moved or deleted');
        return {
          api: { ...api, deployments: without(api.deployments, DeploymentId) },
          delete: [frozenKey(ApiId, DeploymentId)],
          result: () => undefined,
        };
      });
    },
  };
}

function stageOf(api: ApiRecord, name: string): StageRecord {
  const stage = api.stages[name];
  if (stage === undefined) throw partNotFound('Stage', name);
  return stage;
}

function deploymentOf(api: ApiRecord, id: string): DeploymentRecord {
  const deployment = api.deployments[id];
  if (deployment === undefined) throw partNotFound('Deployment', id);
  return deployment;
}

/** Sees to it that a deployment keeps its configuration, whatever happens to the API later. */
function pin(api: ApiRecord, id: string): { readonly api: ApiRecord; readonly set: NonNullable<Commit['set']> } {
  const deployment = deploymentOf(api, id);
  if (deployment.frozen) return { api, set: [] };
  const deployments = { ...api.deployments, [id]: { ...deployment, frozen: true } };
  return {
    api: { ...api, deployments },
    set: [{ key: frozenKey(api.apiId, id), value: encode(configurationOf(api)) }],
  };
}
