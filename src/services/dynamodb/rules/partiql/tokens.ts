/**
 * Tokens of PartiQL statements. Comments (`--` to the end of the line, and between `/*` and its end) are white space.
 * What is accepted and the texts of refusals: paritysuite/dynamodb-conformance, tests/tier2/partiql and
 * tests/tier3/error-messages/partiql*.test.ts, recorded on AWS in October 2026.
 */
import { RuleError } from '../errors.ts';
import type { Place } from './ast.ts';

export type TokenKind = 'name' | 'quoted' | 'keyword' | 'string' | 'number' | 'parameter' | 'symbol' | 'end';

export interface Token {
  readonly kind: TokenKind;
  /** Keywords in upper case; strings and quoted names without their quotes. */
  readonly text: string;
  readonly at: Place;
}

/** The refusal of a statement that cannot be read. */
export function malformed(detail: string): RuleError {
  return new RuleError(`Statement wasn't well formed, can't be processed: ${detail}`);
}

const TOKEN =
  /\s+|--[^\n]*|\/\*[\s\S]*?\*\/|([A-Za-z_$][A-Za-z0-9_$]*)|"((?:[^"]|"")*)"|'((?:[^']|'')*)'|(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|(\?)|(<<|>>|<=|>=|<>|!=|\|\||[=<>()[\]{},.:;*+\-/%])/y;

/** Splits a statement; the last token is of kind 'end'. Throws RuleError for what begins no token. */
export function tokenize(text: string): readonly Token[] {
  const tokens: Token[] = [];
  let line = 1;
  let lineStart = 0;
  TOKEN.lastIndex = 0;
  for (let position = 0; position < text.length; position = TOKEN.lastIndex) {
    const match = TOKEN.exec(text);
    if (match === null || text.startsWith('/*', position) !== match[0].startsWith('/*')) throw malformed('');
    const at = `${line}:${position - lineStart + 1}:${match[0].length}`;
    const token = tokenOf(match, at);
    if (token !== undefined) tokens.push(token);
    for (let feed = match[0].indexOf('\n'); feed >= 0; feed = match[0].indexOf('\n', feed + 1)) {
      line++;
      lineStart = position + feed + 1;
    }
  }
  tokens.push({ kind: 'end', text: '', at: `${line}:${text.length - lineStart + 1}:0` });
  return tokens;
}

function tokenOf(match: RegExpExecArray, at: Place): Token | undefined {
  const [, word, quoted, string, number, parameter, symbol] = match;
  if (word !== undefined) {
    const upper = word.toUpperCase();
    return KEYWORDS.has(upper) ? { kind: 'keyword', text: upper, at } : { kind: 'name', text: word, at };
  }
  if (quoted !== undefined) return { kind: 'quoted', text: quoted.replaceAll('""', '"'), at };
  if (string !== undefined) return { kind: 'string', text: string.replaceAll("''", "'"), at };
  if (number !== undefined) {
    checkScale(number);
    return { kind: 'number', text: number, at };
  }
  if (parameter !== undefined) return { kind: 'parameter', text: parameter, at };
  if (symbol !== undefined) return { kind: 'symbol', text: symbol === '!=' ? '<>' : symbol, at };
  return undefined;
}

const INT32_END = 2 ** 31;

/** The parser's numbers have a 32-bit exponent and a 32-bit scale; what does not fit is not well formed. */
function checkScale(text: string): void {
  const [mantissa = '', exponent = '0'] = text.toLowerCase().split('e');
  const fraction = mantissa.split('.')[1]?.length ?? 0;
  const scale = fraction - Number(exponent);
  if (Math.abs(Number(exponent)) >= INT32_END || Math.abs(scale) >= INT32_END) throw malformed('');
}

/**
 * Words that are not names unless quoted: SQL-92's and PartiQL's own (partiql/partiql-lang-kotlin, LexerConstants). Some of
 * them name functions before a parenthesis.
 */
const KEYWORDS: ReadonlySet<string> = new Set(
  `ABSOLUTE ACTION ADD ALL ALLOCATE ALTER AND ANY ARE AS ASC ASSERTION AT AUTHORIZATION AVG BAG BEGIN BETWEEN BIT BIT_LENGTH
  BLOB BOOL BOOLEAN BY CAN_CAST CAN_LOSSLESS_CAST CASCADE CASCADED CASE CAST CATALOG CHAR CHARACTER CHARACTER_LENGTH
  CHAR_LENGTH CHECK CLOB CLOSE COALESCE COLLATE COLLATION COLUMN COMMIT CONFLICT CONNECT CONNECTION CONSTRAINT CONSTRAINTS
  CONTINUE CONVERT CORRESPONDING COUNT CREATE CROSS CURRENT CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER CURSOR
  DATE DATE_ADD DATE_DIFF DEALLOCATE DEC DECIMAL DECLARE DEFAULT DEFERRABLE DEFERRED DELETE DESC DESCRIBE DESCRIPTOR
  DIAGNOSTICS DISCONNECT DISTINCT DO DOMAIN DOUBLE DROP ELSE END ESCAPE EXCEPT EXCEPTION EXEC EXECUTE EXISTS EXTERNAL EXTRACT
  FALSE FETCH FIRST FLOAT FOR FOREIGN FOUND FROM FULL GET GLOBAL GO GOTO GRANT GROUP HAVING IDENTITY IMMEDIATE IN INDEX
  INDICATOR INITIALLY INNER INPUT INSENSITIVE INSERT INT INT2 INT4 INT8 INTEGER INTERSECT INTERVAL INTO IS ISOLATION JOIN KEY
  LANGUAGE LAST LATERAL LEFT LET LEVEL LIKE LIMIT LIST LOCAL LOWER MATCH MAX MIN MISSING MODIFIED MODULE NAMES NATIONAL NATURAL
  NCHAR NEW NEXT NO NOT NOTHING NULL NULLIF NUMERIC OCTET_LENGTH OF OFFSET OLD ON ONLY OPEN OPTION OR ORDER OUTER OUTPUT
  OVERLAPS PAD PARTIAL PIVOT POSITION PRECISION PREPARE PRESERVE PRIMARY PRIOR PRIVILEGES PROCEDURE PUBLIC READ REAL
  REFERENCES RELATIVE REMOVE RESTRICT RETURNING REVOKE RIGHT ROLLBACK ROWS SCHEMA SCROLL SECTION SELECT SESSION SESSION_USER
  SET SEXP SIZE SMALLINT SOME SPACE SQL SQLCODE SQLERROR SQLSTATE STRING STRUCT SUBSTRING SUM SYMBOL SYSTEM_USER TABLE TEMPORARY
  THEN TIME TIMESTAMP TO TRANSACTION TRANSLATE TRANSLATION TRIM TRUE TUPLE UNION UNIQUE UNKNOWN UNPIVOT UPDATE UPPER USAGE USER
  USING VALUE VALUES VARCHAR VARYING VIEW WHEN WHENEVER WHERE WITH WORK WRITE ZONE`.split(/\s+/),
);
