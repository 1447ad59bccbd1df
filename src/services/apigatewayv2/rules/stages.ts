import type { RouteSettings } from '../../../wire/types/apigatewayv2.ts';
import { badRequest, notBuilt, notFound } from '../errors.ts';
import type { ApiRecord, DeploymentRecord, StageRecord } from '../state.ts';

/** What a stage's settings may say, checked. Words: recorded in cdk-preflight (pf-apigwv2-stage-*, pf-apigw-stage-variable-*). */
export interface StageSettings {
  readonly AccessLogSettings?:
    | { readonly DestinationArn?: string | undefined; readonly Format?: string | undefined }
    | undefined;
  readonly ClientCertificateId?: string | undefined;
  readonly DefaultRouteSettings?: RouteSettings | undefined;
  readonly RouteSettings?: Readonly<Record<string, RouteSettings>> | undefined;
  readonly StageVariables?: Readonly<Record<string, string>> | undefined;
}

export function checkStageName(name: string): void {
  if (name === '$default') return;
  if (!/^[a-zA-Z0-9_-]+$/.test(name)) throw badRequest('Stage name only allows a-zA-Z0-9_-');
  if (name.length > 128) throw badRequest('Stage name should have at most 128 characters');
}

export function checkStageSettings(settings: StageSettings, api: Pick<ApiRecord, 'routes'>): void {
  if (settings.ClientCertificateId !== undefined)
    throw badRequest('ClientCertificateId is not currently supported for HTTP APIs');
  if (settings.AccessLogSettings !== undefined) checkAccessLog(settings.AccessLogSettings);
  if (settings.DefaultRouteSettings !== undefined) checkRouteSettings(settings.DefaultRouteSettings);
  for (const [key, routeSettings] of Object.entries(settings.RouteSettings ?? {})) {
    if (!Object.values(api.routes).some((route) => route.RouteKey === key))
      throw notFound(`Unable to find Route by key ${key} within the provided RouteSettings`);
    checkRouteSettings(routeSettings);
  }
  for (const [name, value] of Object.entries(settings.StageVariables ?? {})) {
    if (!/^\w+$/.test(name))
      throw badRequest(`Invalid stage variable name: ${name}. Please use names with only word characters.`);
    if (!/^[A-Za-z0-9 ._:/?&=,-]*$/.test(value))
      throw badRequest(
        `Invalid stage variable value of key ${name}.  Please use values with alphanumeric characters and the symbols ' ', -', '.', '_', ':', '/', '?', '&', '=', and ','.`,
      );
  }
}

function checkAccessLog({
  DestinationArn: destination,
  Format: format,
}: NonNullable<StageSettings['AccessLogSettings']>): void {
  if (!destination && !format) return;
  if (!destination || !format) throw badRequest('Both DestinationArn and Format are required in AccessLogSettings');
  if (/^arn:[^:]+:firehose:/.test(destination)) throw notBuilt('An access log that goes to Firehose');
  if (!/^arn:[^:]+:logs:[^:]+:\d{12}:log-group:[^:]+(:\*)?$/.test(destination))
    throw badRequest('The ARN must be a valid CloudWatch Logs log group or Kinesis Data Firehose delivery stream');
  if (!/\$context\.(requestId|extendedRequestId)/.test(format))
    throw badRequest('Access Log format must include either $context.requestId or $context.extendedRequestId');
}

function checkRouteSettings(settings: RouteSettings): void {
  if ((settings.LoggingLevel !== undefined && settings.LoggingLevel !== 'OFF') || settings.DataTraceEnabled === true)
    throw badRequest('Execution logs are not supported on protocolType HTTP');
  if ((settings.ThrottlingBurstLimit ?? 0) < 0 || (settings.ThrottlingRateLimit ?? 0) < 0)
    throw badRequest('Throttling limits must not be negative');
}

/** AWS's words, recorded in public issue threads. */
export const noRoutesText = 'At least one route is required before deploying the Api.';

/**
 * The API with its configuration deployed to every stage that has AutoDeploy. The automatic deployment before is dropped unless
 * it has been kept.
 */
export function autoDeployed(api: ApiRecord, deploymentId: string, nowMs: number): ApiRecord {
  const auto = Object.values(api.stages).filter((stage) => stage.AutoDeploy === true);
  if (auto.length === 0) return api;
  const stages: Record<string, StageRecord> = { ...api.stages };
  if (Object.keys(api.routes).length === 0) {
    for (const stage of auto)
      stages[stage.StageName] = {
        ...stage,
        LastDeploymentStatusMessage: `Deployment attempt failed: ${noRoutesText}`,
        LastUpdatedDate: nowMs,
      };
    return { ...api, stages };
  }
  const deployment: DeploymentRecord = {
    DeploymentId: deploymentId,
    AutoDeployed: true,
    CreatedDate: nowMs,
    DeploymentStatus: 'DEPLOYED',
    Description: 'Automatic deployment triggered by changes to the Api configuration',
    frozen: false,
  };
  const kept = Object.values(api.deployments).filter(({ AutoDeployed: automatic, frozen }) => !automatic || frozen);
  for (const stage of auto) {
    stages[stage.StageName] = {
      ...stage,
      DeploymentId: deploymentId,
      LastDeploymentStatusMessage: `Successfully deployed stage with deployment ID '${deploymentId}'`,
      LastUpdatedDate: nowMs,
    };
  }
  const deployments = Object.fromEntries([...kept, deployment].map((each) => [each.DeploymentId, each]));
  return { ...api, stages, deployments };
}

/** A map changed by a patch: an empty value (text or object) takes a name away. */
export function patched<T>(
  before: Readonly<Record<string, T>> | undefined,
  patch: Readonly<Record<string, T>> | undefined,
): Readonly<Record<string, T>> | undefined {
  if (patch === undefined) return before;
  const after: Record<string, T> = { ...before };
  for (const [name, value] of Object.entries(patch)) {
    if (value === '' || (typeof value === 'object' && value !== null && Object.keys(value).length === 0))
      delete after[name];
    else after[name] = value;
  }
  return after;
}
