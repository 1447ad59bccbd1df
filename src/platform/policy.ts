/** IAM policies: parsing, AWS's complaints about them, evaluation with AWS's precedence, and the authorizer. No I/O. */
export {
  contextOf,
  createAuthorizer,
  type PolicySource,
  type PrincipalPolicies,
} from './policy/authorizer.ts';
export { type PolicyDocument, parsePolicy, policyOf } from './policy/document.ts';
export {
  decide,
  evaluateIdentity,
  evaluateResource,
  type Verdict,
} from './policy/evaluate.ts';
export { matchesAction, matchesResource, matchesWildcard } from './policy/match.ts';
export { type PolicyUse, policyProblem } from './policy/validate.ts';
