/**
 * JSON text that is already encoded. In an output it is written as it stands by the JSON protocols, so that a stored document
 * need not be parsed to be answered. The holder warrants that `json` is one valid JSON value.
 */
export class RawJson {
  readonly json: string;

  constructor(json: string) {
    this.json = json;
  }
}
