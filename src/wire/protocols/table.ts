import type { Protocol } from '../model.ts';
import { awsJson } from './aws-json.ts';
import type { ProtocolCodec } from './contract.ts';
import { query } from './query.ts';
import { restJson } from './rest-json.ts';

/** The protocols that are built. A further one is a file of this folder and a line here. */
export const PROTOCOLS: Partial<Record<Protocol, ProtocolCodec>> = {
  awsJson1_0: awsJson('1.0'),
  awsJson1_1: awsJson('1.1'),
  query,
  restJson,
};
