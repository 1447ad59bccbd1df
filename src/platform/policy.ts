/** IAM policies: parsing, AWS's complaints about them, evaluation with AWS's precedence, and the authorizer. No I/O. */
export {
  type AuthorizerOptions,
  contextOf,
  createAuthorizer,
  type PolicySource,
  type PrincipalPolicies,
  refusal,
} from './policy/authorizer.ts';
export { type PolicyDocument, PolicySyntaxError, parsePolicy, policyOf } from './policy/document.ts';
export {
  type AccessRequest,
  type Decision,
  decide,
  evaluateIdentity,
  evaluateResource,
  type PolicySet,
  type Verdict,
} from './policy/evaluate.ts';
export { type ContextValues, matchesAction, matchesResource, matchesWildcard } from './policy/match.ts';
export { type PolicyUse, policyProblem } from './policy/validate.ts';
