import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { unkaiJson } from '../cli/support.ts';
import { startTestCloud, type TestCloud } from '../support/cloud.ts';

interface Deployed {
  readonly changed: boolean;
  readonly endpoints: readonly { readonly name: string; readonly url: string }[];
}

interface Note {
  readonly id: string;
  readonly title: string;
  readonly text: string;
}

const example = fileURLToPath(new URL('../../examples/custom-runtime', import.meta.url));
let cloud: TestCloud;
let root: Readonly<Record<string, string>>;
let api: string;

beforeAll(async () => {
  // Signatures are verified and policies decide: the Elixir function signs its requests itself.
  cloud = await startTestCloud({ auth: 'enforced' });
  const { accessKeyId, secretAccessKey } = await cloud.cloud.platform.credentials.root();
  root = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
  api = (await deploy()).endpoints[0]!.url;
}, 120_000);
afterAll(() => cloud?.close());

/** A command of the CLI, as the root of the account. */
async function unkai<T>(...args: string[]): Promise<T> {
  const { code, data } = await unkaiJson<T>([...args, '--endpoint', cloud.endpoint], { env: root });
  if (code !== 0) throw new Error(`unkai ${args.join(' ')} ended with ${code}: ${JSON.stringify(data)}`);
  return data;
}

function deploy(): Promise<Deployed> {
  return unkai('deploy', example, '--stack', 'custom');
}

async function ask(method: string, path: string, body?: string): Promise<{ status: number; body: unknown }> {
  const answer = await fetch(`${api}${path}`, { method, ...(body === undefined ? {} : { body }) });
  const text = await answer.text();
  return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) };
}

async function create(note: object): Promise<Note> {
  const { status, body } = await ask('POST', '/notes', JSON.stringify(note));
  expect(status).toBe(201);
  return body as Note;
}

describe('examples/custom-runtime', () => {
  it('greets in bash', async () => {
    expect(await ask('GET', '/hello')).toEqual({ status: 200, body: { message: 'Hello, world!' } });
    expect(await ask('GET', '/hello/Ada')).toEqual({ status: 200, body: { message: 'Hello, Ada!' } });
    expect(await ask('GET', '/hello/J%C3%BCrgen%20K.')).toEqual({
      status: 200,
      body: { message: 'Hello, Jürgen K.!' },
    });
  });

  it('refuses names that bash would have to escape', async () => {
    for (const name of ['%22', 'a%5Cb', 'x'.repeat(101)]) {
      expect((await ask('GET', `/hello/${name}`)).status).toBe(400);
    }
  });

  it('creates, reads, updates and deletes notes in Elixir', async () => {
    const text = 'with "quotes", \\, a line\nbreak, ünï ✓ 😀';
    const note = await create({ title: 'First', text });
    expect(note).toEqual({ id: expect.stringMatching(/^[0-9a-f]{16}$/), title: 'First', text });
    expect(await ask('GET', `/notes/${note.id}`)).toEqual({ status: 200, body: note });

    const changed = { ...note, title: 'Second', text: '' };
    expect(await ask('PUT', `/notes/${note.id}`, JSON.stringify({ title: 'Second' }))).toEqual({
      status: 200,
      body: changed,
    });
    expect(await ask('GET', `/notes/${note.id}`)).toEqual({ status: 200, body: changed });

    expect(await ask('DELETE', `/notes/${note.id}`)).toEqual({ status: 204, body: undefined });
    expect((await ask('GET', `/notes/${note.id}`)).status).toBe(404);
  }, 120_000);

  it('tells where a new note is', async () => {
    const answer = await fetch(`${api}/notes`, { method: 'POST', body: '{"title": "There"}' });
    const { id } = (await answer.json()) as Note;
    expect(answer.headers.get('location')).toBe(`/notes/${id}`);
    expect(answer.headers.get('content-type')).toBe('application/json');
  });

  it('knows notes of several callers at once', async () => {
    const notes = await Promise.all([1, 2, 3, 4].map((number) => create({ title: `Note ${number}` })));
    expect(new Set(notes.map(({ id }) => id)).size).toBe(4);
    for (const note of notes) expect(await ask('GET', `/notes/${note.id}`)).toEqual({ status: 200, body: note });
  }, 120_000);

  it.each([
    ['GET', undefined],
    ['PUT', '{"title": "x"}'],
    ['DELETE', undefined],
  ])('answers 404 to %s of a note that is not there', async (method, body) => {
    expect(await ask(method, '/notes/none', body)).toEqual({
      status: 404,
      body: { message: 'there is no note none' },
    });
  });

  it.each([
    ['no JSON', 'nonsense', 'the body is not JSON'],
    ['nothing', undefined, 'the body is not JSON'],
    ['no object', '[]', 'the body must be a JSON object'],
    ['without a title', '{"text": "x"}', 'title is missing'],
    ['of a number as title', '{"title": 1}', 'title is not a string'],
    ['of an empty title', '{"title": ""}', 'title has 1 to 100 characters'],
    ['of a list as text', '{"title": "x", "text": []}', 'text is not a string'],
  ])('answers 400 to a note that is %s', async (_what, body, message) => {
    expect(await ask('POST', '/notes', body)).toEqual({ status: 400, body: { message } });
  });

  it('is left alone by a second deployment of the same', async () => {
    expect((await deploy()).changed).toBe(false);
  });

  it('leaves nothing behind when its stack is deleted', async () => {
    await unkai('delete', 'custom');
    expect(await unkai('status')).toMatchObject({ functions: [], tables: [], stacks: [] });
  }, 60_000);
});
