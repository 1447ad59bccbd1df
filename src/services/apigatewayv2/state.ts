import type { Key, Store, Version } from '../../kernel/store/contract.ts';
import { encodeKey, extendKey } from '../../kernel/store/keys.ts';
import type { Authorizer, Cors, Deployment, Integration, Route, Stage } from '../../wire/types/apigatewayv2.ts';

/**
 * What is on disk. An API is one record: every change of it is one conditional write, and its version in the store tells a
 * reader whether anything of it has changed. Ids of APIs are unique over all accounts, because requests name nothing else.
 *
 * | key | value |
 * | apigatewayv2 api apiId                  | ApiRecord |
 * | apigatewayv2 of account region apiId    | empty: the API is this account's |
 * | apigatewayv2 deployed apiId deploymentId | Configuration: what a deployment froze |
 */
export interface ApiRecord extends Configuration {
  readonly apiId: string;
  readonly account: string;
  readonly region: string;
  readonly name: string;
  readonly description?: string;
  readonly version?: string;
  readonly createdAtMs: number;
  readonly disableExecuteApiEndpoint: boolean;
  readonly ipAddressType: 'ipv4' | 'dualstack';
  readonly tags: Readonly<Record<string, string>>;
  readonly importInfo?: readonly string[];
  readonly warnings?: readonly string[];
  /** By name. */
  readonly stages: Readonly<Record<string, StageRecord>>;
  readonly deployments: Readonly<Record<string, DeploymentRecord>>;
}

/** What a deployment freezes, and what stages with AutoDeploy serve as it stands. By id each. */
export interface Configuration {
  readonly routes: Readonly<Record<string, RouteRecord>>;
  readonly integrations: Readonly<Record<string, IntegrationRecord>>;
  readonly authorizers: Readonly<Record<string, AuthorizerRecord>>;
  readonly cors?: Cors;
}

export type RouteRecord = Route & { readonly RouteId: string; readonly AuthorizationType: 'NONE' | 'JWT' | 'CUSTOM' };

export type IntegrationRecord = Integration & {
  readonly IntegrationId: string;
  readonly IntegrationType: 'AWS_PROXY' | 'HTTP_PROXY';
  readonly IntegrationUri: string;
  readonly PayloadFormatVersion: '1.0' | '2.0';
  readonly TimeoutInMillis: number;
};

export type AuthorizerRecord = Authorizer & {
  readonly AuthorizerId: string;
  readonly AuthorizerType: 'JWT' | 'REQUEST';
};

export type StageRecord = Stage & {
  readonly Tags: Readonly<Record<string, string>>;
  /** Raised when its authorizers' cached results are dropped. */
  readonly cacheGeneration?: number;
  /** Tells the CloudFormation step that made it, to find it again after a crash. */
  readonly madeBy?: string;
};

export type DeploymentRecord = Deployment & {
  readonly DeploymentId: string;
  /** Whether its configuration is kept under its own key; an automatic deployment's is the API's own until it must be kept. */
  readonly frozen: boolean;
};

export interface StoredApi {
  readonly record: ApiRecord;
  readonly version: Version;
}

const apis = encodeKey('apigatewayv2', 'api');
const owned = encodeKey('apigatewayv2', 'of');
const deployed = encodeKey('apigatewayv2', 'deployed');

export function apiKey(apiId: string): Key {
  return extendKey(apis, apiId);
}

export function ownedBy(account: string, region: string): Key {
  return extendKey(owned, account, region);
}

export function ownerKey(account: string, region: string, apiId: string): Key {
  return extendKey(owned, account, region, apiId);
}

export function frozenKey(apiId: string, deploymentId: string): Key {
  return extendKey(deployed, apiId, deploymentId);
}

export async function readApi(store: Store, apiId: string): Promise<StoredApi | undefined> {
  const entry = await store.get(apiKey(apiId));
  return entry === undefined ? undefined : { record: decode<ApiRecord>(entry.value), version: entry.version };
}

export function encode(record: ApiRecord | Configuration): Buffer {
  return Buffer.from(JSON.stringify(record), 'utf8');
}

export function decode<T extends ApiRecord | Configuration>(value: Buffer): T {
  return JSON.parse(value.toString('utf8')) as T;
}

/** The part of an API that a deployment freezes. */
export function configurationOf({ routes, integrations, authorizers, cors }: Configuration): Configuration {
  return { routes, integrations, authorizers, ...(cors === undefined ? {} : { cors }) };
}
