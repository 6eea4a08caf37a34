import { describe, expect, it } from 'vitest';
import { openApiDocument } from '../../src/api/openapi.ts';
import { ROUTES } from '../../src/api/route-table.ts';
import { ACTIONS } from '../../src/trust/roles.ts';
import { newService } from './new-service.ts';

type Operation = {
  readonly operationId: string;
  readonly summary: string;
  readonly responses: Readonly<
    Record<string, { readonly description: string; readonly content?: Readonly<Record<string, { readonly schema: unknown }>> }>
  >;
  readonly requestBody?: unknown;
};
const document = openApiDocument(ROUTES, '1.2.3') as {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
};
const operations = Object.entries(document.paths).flatMap(([path, item]) =>
  Object.entries(item).map(([method, one]) => ({ path, method, one })),
);

describe('the OpenAPI document', () => {
  it('holds every route of the table', () => {
    expect(operations.map(({ path, method }) => `${method} ${path}`).sort()).toEqual(
      ROUTES.map(({ path, method }) => `${method.toLowerCase()} ${path}`).sort(),
    );
    expect(operations.length).toBeGreaterThan(60);
  });

  it.each(operations.map(({ path, method, one }) => [`${method} ${path}`, one] as const))(
    'says of %s what it does, answers and refuses',
    (_, one) => {
      expect(one.operationId).toMatch(/^[a-z][A-Za-z]+$/);
      expect(one.summary).toMatch(/^[A-Z].{7,}/);
      const statuses = Object.keys(one.responses);
      expect(statuses.some((status) => status.startsWith('2'))).toBe(true);
      for (const status of ['400', '404', '429', '500'])
        expect(one.responses[status]!.content).toHaveProperty(['application/problem+json']);
      for (const status of statuses) expect(one.responses[status]!.description).not.toBe('');
    },
  );

  it('gives every operation a name of its own', () => {
    expect(new Set(ROUTES.map(({ name }) => name)).size).toBe(ROUTES.length);
  });

  it('refers only to components that are there', () => {
    const names = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name!);
    expect(names.length).toBeGreaterThan(100);
    expect([...new Set(names)].filter((name) => document.components.schemas[name] === undefined)).toEqual([]);
  });

  it('takes nothing that it does not know: every body is closed', () => {
    for (const { body, name } of ROUTES) if (body !== undefined) expect(body, name).toMatchObject({ additionalProperties: false });
  });

  it('is what the service gives out, and the page shows it without anything from elsewhere', async () => {
    const service = await newService({ config: { version: '1.2.3' } });
    expect((await service.ask('GET', '/openapi.json')).json).toEqual(JSON.parse(JSON.stringify(document)));
    const page = await service.ask('GET', '/docs');
    expect(page.status).toBe(200);
    expect(page.headers['content-security-policy']).toContain("default-src 'self'");
    expect(page.text).not.toMatch(/(?:src|href)="https?:/);
  });

  it('has a route for every action that roles know', () => {
    const used = new Set<string>(ROUTES.map(({ action }) => action));
    expect(Object.keys(ACTIONS).filter((action) => !used.has(action))).toEqual([]);
  });
});
