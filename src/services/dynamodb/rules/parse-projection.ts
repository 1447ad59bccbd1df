/** Parser of projection expressions: document paths separated by commas. Developer guide "Projection expressions". */
import type { PathNode } from './ast.ts';
import { ParserBase } from './parser-base.ts';

/** Parses; throws RuleError for anything AWS finds wrong in the text alone. */
export function parseProjectionText(text: string): readonly PathNode[] {
  return new ProjectionParser('ProjectionExpression', text).parse();
}

class ProjectionParser extends ParserBase {
  parse(): readonly PathNode[] {
    const paths = [this.parsePath()];
    while (this.cursor.takeSymbol(',')) paths.push(this.parsePath());
    this.finish();
    return paths;
  }

  protected override isKeyword(): boolean {
    return false;
  }
}
