import { describe, expect, it } from 'vitest';
import { parseRouteKey } from './route-keys.ts';
import { compileRouter, matchRoute } from './router.ts';

function routerOf(...keys: string[]) {
  return compileRouter(keys.map((key) => ({ key: parseRouteKey(key), route: key })));
}

describe('matchRoute', () => {
  // The table of https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html.
  const documented = routerOf(
    'GET /pets/dog/1',
    'GET /pets/dog/{id}',
    'GET /pets/{proxy+}',
    'ANY /{proxy+}',
    '$default',
  );

  it.each([
    ['GET', '/pets/dog/1', 'GET /pets/dog/1', undefined],
    ['GET', '/pets/dog/2', 'GET /pets/dog/{id}', { id: '2' }],
    ['GET', '/pets/cat/1', 'GET /pets/{proxy+}', { proxy: 'cat/1' }],
    ['POST', '/test/5', 'ANY /{proxy+}', { proxy: 'test/5' }],
    ['POST', '/pets/dog/1', 'ANY /{proxy+}', { proxy: 'pets/dog/1' }],
    ['GET', '/', '$default', undefined],
  ])('%s %s goes to %s', (method, path, route, parameters) => {
    expect(matchRoute(documented, method, path)).toEqual({ route, parameters });
  });

  it('prefers a method to ANY, and a full match by ANY to a greedy one by method', () => {
    const router = routerOf('ANY /a', 'GET /a', 'GET /{proxy+}', 'ANY /b');
    expect(matchRoute(router, 'GET', '/a')?.route).toBe('GET /a');
    expect(matchRoute(router, 'PUT', '/a')?.route).toBe('ANY /a');
    expect(matchRoute(router, 'GET', '/b')?.route).toBe('ANY /b');
  });

  it('goes back from a literal part that leads nowhere', () => {
    const router = routerOf('GET /a/b/c', 'GET /{x}/b/{y}', 'GET /a/{z}');
    expect(matchRoute(router, 'GET', '/a/b/d')).toEqual({ route: 'GET /{x}/b/{y}', parameters: { x: 'a', y: 'd' } });
    expect(matchRoute(router, 'GET', '/a/b')).toEqual({ route: 'GET /a/{z}', parameters: { z: 'b' } });
  });

  it('takes a trailing slash for another path, and fills no variable with nothing', () => {
    const router = routerOf('GET /a', 'GET /b/{id}', 'GET /c/{proxy+}');
    expect(matchRoute(router, 'GET', '/a/')).toBeUndefined();
    expect(matchRoute(router, 'GET', '/b/')).toBeUndefined();
    expect(matchRoute(router, 'GET', '/c/')).toBeUndefined();
    expect(matchRoute(router, 'GET', '/c')).toBeUndefined();
    expect(matchRoute(router, 'GET', '/c/d/')).toEqual({ route: 'GET /c/{proxy+}', parameters: { proxy: 'd/' } });
  });

  it('has no match where there is none', () => {
    expect(matchRoute(routerOf('GET /a'), 'POST', '/a')).toBeUndefined();
    expect(matchRoute(routerOf(), 'GET', '/')).toBeUndefined();
  });
});

describe('parseRouteKey', () => {
  it.each(['GET /a/{x}y', 'GET /{x+}/a', 'GET /{x}/{x}', 'GET /a{'])('refuses %s', (key) => {
    expect(() => parseRouteKey(key)).toThrow();
  });
});
