import { parseArn } from '../../../platform/arn.ts';
import type { CreateIntegrationRequest } from '../../../wire/types/apigatewayv2.ts';
import { badRequest, notBuilt } from '../errors.ts';
import { apiGatewayLimits } from '../limits.ts';
import type { IntegrationRecord } from '../state.ts';
import { compileRequestMappings, compileResponseMappings } from './mapping.ts';

export type IntegrationInput = Omit<CreateIntegrationRequest, 'ApiId'>;

/** Checks an integration of an HTTP API and fills in AWS's defaults. Words: recorded in cdk-preflight and aws-cli issue 6363. */
export function integrationOf(id: string, input: IntegrationInput, managed = false): IntegrationRecord {
  const { IntegrationType: type, IntegrationUri: uri } = input;
  if (type !== 'AWS_PROXY' && type !== 'HTTP_PROXY') {
    throw badRequest(
      'Currently, an API with a protocol type of HTTP may only be associated with proxy integrations (AWS_PROXY, HTTP_PROXY)',
    );
  }
  refuseUnbuilt(input);
  const version = input.PayloadFormatVersion ?? (type === 'HTTP_PROXY' ? '1.0' : undefined);
  if (version === undefined) throw badRequest('PayloadFormatVersion is a required parameter for integration');
  if (version !== '1.0' && version !== '2.0') throw badRequest(`Unsupported PayloadFormatVersion: ${version}`);
  if (type === 'HTTP_PROXY' && version !== '1.0')
    throw badRequest(`PayloadFormatVersion ${version} is not supported for integration of type HTTP_PROXY`);
  if (uri === undefined || uri === '') throw badRequest('Integration URI is required for this integration type');
  if (type === 'AWS_PROXY') checkFunctionUri(uri);
  else checkHttpUri(uri);
  const longest = apiGatewayLimits.integrationTimeoutMs.value;
  const shortest = apiGatewayLimits.leastIntegrationTimeoutMs.value;
  const timeout = input.TimeoutInMillis ?? longest;
  if (timeout < shortest || timeout > longest)
    throw badRequest(`Timeout should be between ${shortest} ms and ${longest} ms`);
  const method = input.IntegrationMethod;
  if (type === 'HTTP_PROXY' && (method === undefined || !/^(ANY|DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT)$/.test(method)))
    throw badRequest('HttpMethod must be a valid HTTP method for integrations of type HTTP_PROXY');
  compileRequestMappings(input.RequestParameters);
  compileResponseMappings(input.ResponseParameters);
  return {
    ...(managed ? { ApiGatewayManaged: true } : {}),
    IntegrationId: id,
    IntegrationType: type,
    IntegrationUri: uri,
    IntegrationMethod: type === 'AWS_PROXY' ? 'POST' : method,
    ConnectionType: 'INTERNET',
    PayloadFormatVersion: version,
    TimeoutInMillis: timeout,
    ...given('Description', input.Description),
    ...given('CredentialsArn', input.CredentialsArn),
    ...given('RequestParameters', input.RequestParameters),
    ...given('ResponseParameters', input.ResponseParameters),
  };
}

function given<K extends string, T>(name: K, value: T | undefined): Partial<Record<K, T>> {
  return value === undefined || value === '' ? {} : ({ [name]: value } as Record<K, T>);
}

function refuseUnbuilt(input: IntegrationInput): void {
  if (input.ConnectionType === 'VPC_LINK' || input.ConnectionId !== undefined)
    throw notBuilt('ConnectionType VPC_LINK');
  if (input.IntegrationSubtype !== undefined) throw notBuilt(`IntegrationSubtype ${input.IntegrationSubtype}`);
  if (input.TlsConfig?.ServerNameToVerify !== undefined) throw notBuilt('TlsConfig');
  for (const name of [
    'ContentHandlingStrategy',
    'PassthroughBehavior',
    'RequestTemplates',
    'TemplateSelectionExpression',
  ] as const) {
    if (input[name] !== undefined) throw badRequest(`${name} is not currently supported for HTTP APIs`);
  }
  const role = input.CredentialsArn;
  if (role !== undefined && role !== '' && !/^arn:aws[a-z-]*:iam::(\d{12}:role\/.+|\*:user\/\*)$/.test(role))
    throw badRequest('Invalid ARN specified in the request');
}

/**
 * The function behind an integration's or authorizer's URI: its ARN itself, or API Gateway's address of it
 * (`arn:aws:apigateway:region:lambda:path/2015-03-31/functions/ARN/invocations`). Stage variables may stand in it.
 */
export function functionArnOf(uri: string): string {
  const match = /^arn:[^:]+:apigateway:[^:]+:lambda:path\/2015-03-31\/functions\/(.+)\/invocations$/.exec(uri);
  return match?.[1] ?? uri;
}

function checkFunctionUri(uri: string): void {
  const arn = parseArn(functionArnOf(uri));
  if (arn?.service !== 'lambda' || !arn.resource.startsWith('function:'))
    throw badRequest(`Invalid Integration URI ${uri} specified: it should be the ARN of a Lambda function`);
}

function checkHttpUri(uri: string): void {
  const filled = uri.replace(/\$\{stageVariables\.\w+\}/g, 'x').replace(/\{[^{}]+\}/g, 'x');
  if (!/^https?:\/\//i.test(uri) || !URL.canParse(filled))
    throw badRequest('Integration URI should be a valid HTTP or HTTPS URL');
}

/** `${stageVariables.name}` replaced; a variable that the stage lacks is empty. */
export function withStageVariables(text: string, variables: Readonly<Record<string, string>> | undefined): string {
  if (!text.includes('${stageVariables.')) return text;
  return text.replace(/\$\{stageVariables\.(\w+)\}/g, (_, name: string) => variables?.[name] ?? '');
}
