import { parseArn, partitionOf } from '../../platform/arn.ts';
import type { Caller, Principal } from '../../platform/context.ts';
import type { Place } from './state.ts';

/** The session of a function's role that Lambda acts in: it polls, delivers and reads in the role's name. */
export function rolePrincipal(roleArn: string, sessionName: string, place: Place): Principal {
  const account = parseArn(roleArn)?.account ?? place.account;
  const roleName = roleArn.slice(roleArn.lastIndexOf('/') + 1);
  return {
    kind: 'assumed-role',
    arn: `arn:${partitionOf(place.region)}:sts::${account}:assumed-role/${roleName}/${sessionName}`,
    account,
    id: `${roleName}:${sessionName}`,
    roleArn,
  };
}

export function roleCaller(roleArn: string, sessionName: string, place: Place): Caller {
  return {
    account: place.account,
    region: place.region,
    principal: rolePrincipal(roleArn, sessionName, place),
  };
}
