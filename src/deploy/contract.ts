import type { Json, JsonObject } from './json.ts';

/** A physical resource of a stack, as the stack keeps it. */
export interface LiveResource {
  readonly logicalId: string;
  readonly type: string;
  /** Empty for a resource whose creation failed before it had one. */
  readonly physicalId: string;
  /** As evaluated; dynamic references ({{resolve:…}}) still unresolved, so that no secret is kept. */
  readonly properties: JsonObject;
  readonly attributes: JsonObject;
  /** Logical ids that must outlive this one. */
  readonly dependsOn: readonly string[];
  readonly deletionPolicy: 'Delete' | 'Retain' | 'RetainExceptOnCreate' | 'Snapshot';
  readonly updateReplacePolicy: 'Delete' | 'Retain' | 'RetainExceptOnCreate' | 'Snapshot';
  readonly metadata?: Json;
  readonly status: string;
  readonly statusReason?: string;
}
