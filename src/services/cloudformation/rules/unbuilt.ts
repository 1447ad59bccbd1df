import { TemplateError } from '../../../deploy/errors.ts';
import type { Template } from '../../../deploy/template.ts';

/**
 * Refuses what CloudFormation would act on and this one does not: nothing in a template is ignored in silence.
 *
 * @throws {TemplateError}
 */
export function checkBuilt(template: Template): void {
  for (const [name, resource] of template.resources) {
    for (const [attribute, value] of [
      ['CreationPolicy', resource.creationPolicy],
      ['UpdatePolicy', resource.updatePolicy],
    ] as const) {
      if (value !== undefined) {
        throw new TemplateError(`Template error: ${attribute} of resource ${name} is not supported here.`);
      }
    }
  }
}
