import type { Handlers } from '../../../platform/service.ts';
import type { Environment } from '../environment.ts';
import { exportRecords, importersOf } from '../exports.ts';
import { page } from '../paging.ts';
import { invalid } from '../rules/errors.ts';

export function exportOperations(env: Environment): Handlers<'cloudformation'> {
  return {
    async ListExports(context, { NextToken }) {
      const { items, nextToken } = page(await exportRecords(env, context), NextToken);
      return {
        Exports: items.map(({ name, value, stackArn }) => ({ ExportingStackId: stackArn, Name: name, Value: value })),
        NextToken: nextToken,
      };
    },

    async ListImports(context, { ExportName, NextToken }) {
      const importers = await importersOf(env, context, ExportName);
      // Text: https://github.com/aws/aws-cli/issues/4032
      if (importers.length === 0) throw invalid(`Export '${ExportName}' is not imported by any stack.`);
      const { items, nextToken } = page(importers, NextToken);
      return { Imports: items, NextToken: nextToken };
    },
  };
}
