import type {
  AccessKeyMetadata,
  AttachedPolicy,
  Group,
  Policy,
  PolicyVersion,
  Role,
  User,
} from '../../../wire/types/iam.ts';
import type {
  AccessKeyRecord,
  GroupRecord,
  PolicyRecord,
  PolicyVersionRecord,
  RoleRecord,
  UserRecord,
} from '../state.ts';
import { entityArn, parsePolicyArn } from './arns.ts';

/** Documents travel URL-encoded by RFC 3986, as the API reference says. */
export function encodedDocument(document: string): string {
  return encodeURIComponent(document).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** As CreateRole and ListRoles show it; GetRole adds tags, the boundary and the last use. */
export function roleShape(account: string, role: RoleRecord): Role {
  return {
    Path: role.path,
    RoleName: role.name,
    RoleId: role.id,
    Arn: entityArn('role', account, role.path, role.name),
    CreateDate: role.createdMs,
    AssumeRolePolicyDocument: encodedDocument(role.trust),
    ...(role.description === undefined ? {} : { Description: role.description }),
    MaxSessionDuration: role.maxSessionSeconds,
  };
}

export function roleDetail(account: string, role: RoleRecord): Role {
  return { ...roleShape(account, role), ...tagsOf(role.tags), ...boundaryOf(role.boundary), RoleLastUsed: {} };
}

export function userShape(account: string, user: UserRecord): User {
  return {
    Path: user.path,
    UserName: user.name,
    UserId: user.id,
    Arn: entityArn('user', account, user.path, user.name),
    CreateDate: user.createdMs,
  };
}

export function userDetail(account: string, user: UserRecord): User {
  return { ...userShape(account, user), ...tagsOf(user.tags), ...boundaryOf(user.boundary) };
}

export function groupShape(account: string, group: GroupRecord): Group {
  return {
    Path: group.path,
    GroupName: group.name,
    GroupId: group.id,
    Arn: entityArn('group', account, group.path, group.name),
    CreateDate: group.createdMs,
  };
}

export interface PolicyUse {
  readonly attachments: number;
  readonly boundaries: number;
}

/** As CreatePolicy and ListPolicies show it; GetPolicy adds the description and tags. */
export function policyShape(account: string, policy: PolicyRecord, use: PolicyUse): Policy {
  return {
    PolicyName: policy.name,
    PolicyId: policy.id,
    Arn: entityArn('policy', account, policy.path, policy.name),
    Path: policy.path,
    DefaultVersionId: policy.defaultVersion,
    AttachmentCount: use.attachments,
    PermissionsBoundaryUsageCount: use.boundaries,
    IsAttachable: true,
    CreateDate: policy.createdMs,
    UpdateDate: policy.updatedMs,
  };
}

export function versionShape(version: PolicyVersionRecord, isDefault: boolean, withDocument: boolean): PolicyVersion {
  return {
    ...(withDocument ? { Document: encodedDocument(version.document) } : {}),
    VersionId: version.id,
    IsDefaultVersion: isDefault,
    CreateDate: version.createdMs,
  };
}

export function attachedShape(arn: string): AttachedPolicy {
  return { PolicyName: parsePolicyArn(arn).name, PolicyArn: arn };
}

export function keyMetadata(key: AccessKeyRecord): AccessKeyMetadata {
  return {
    ...(key.userName === undefined ? {} : { UserName: key.userName }),
    AccessKeyId: key.accessKeyId,
    Status: key.status,
    CreateDate: key.createdMs,
  };
}

function tagsOf(tags: RoleRecord['tags']): { Tags?: RoleRecord['tags'] } {
  return tags.length === 0 ? {} : { Tags: tags };
}

function boundaryOf(arn: string | undefined): Pick<Role, 'PermissionsBoundary'> {
  if (arn === undefined) return {};
  return { PermissionsBoundary: { PermissionsBoundaryType: 'PermissionsBoundaryPolicy', PermissionsBoundaryArn: arn } };
}
