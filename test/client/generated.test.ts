import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { clientSource } from '../../src/api/client-source.ts';
import { openApiDocument } from '../../src/api/openapi.ts';
import { ROUTES } from '../../src/api/route-table.ts';

describe('the generated client', () => {
  it('is current; "ops/write-client" writes it anew', () => {
    const document = JSON.parse(JSON.stringify(openApiDocument(ROUTES, '0')));
    expect(readFileSync(new URL('../../src/client/generated.ts', import.meta.url), 'utf8')).toBe(clientSource(document));
  });
});
