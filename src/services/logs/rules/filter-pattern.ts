import { compileFieldPattern } from './pattern/fields.ts';
import { compileJsonPattern } from './pattern/json.ts';
import { compileTermPattern } from './pattern/terms.ts';

/** Which messages a filter pattern means. Throws InvalidParameterException; an empty pattern means all. */
export function compileFilterPattern(pattern: string): (message: string) => boolean {
  const text = pattern.trim();
  if (text === '') return () => true;
  if (text.startsWith('{')) return compileJsonPattern(text);
  if (text.startsWith('[')) return compileFieldPattern(text);
  return compileTermPattern(text);
}
