import { TemplateError } from '../errors.ts';

/** One thing that is wrong with a SAM template; `context` collects them. */
export class SamProblem extends Error {
  override readonly name = 'SamProblem';
}

/** Texts: aws-sam-translator, model/exceptions.py. */
export function resourceProblem(logicalId: string, message: string): SamProblem {
  return new SamProblem(`Resource with id [${logicalId}] is invalid. ${message}`);
}

export function eventProblem(logicalId: string, eventId: string, message: string): SamProblem {
  return resourceProblem(logicalId, `Event with id [${eventId}] is invalid. ${message}`);
}

/** What AWS supports and this transform does not: told by name, never left out. */
export function unsupported(logicalId: string, what: string): SamProblem {
  return resourceProblem(logicalId, `${what} is not supported here.`);
}

/** The transform's error, with every problem found (text: as CloudFormation reports a failed AWS::Serverless transform). */
export function samError(problems: readonly string[]): TemplateError {
  return new TemplateError(
    'Transform AWS::Serverless-2016-10-31 failed with: Invalid Serverless Application Specification document. ' +
      `Number of errors found: ${problems.length}. ${[...problems].sort().join(' ')}`,
  );
}
