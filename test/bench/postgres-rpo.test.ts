// The trials of what is lost with a host, in their shortest form: that they measure, and that what comes back is whole up to its end.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CHECKOUT } from '../architecture/source-files.ts';
import { postgresPrograms } from '../support/postgres.ts';

describe.skipIf(postgresPrograms() === undefined)('a host that dies under load', () => {
  it('loses the end of what was acknowledged and nothing before it', () => {
    const args = [join(CHECKOUT, 'bench/postgres-rpo.ts'), '--trials', '2', '--scale', '1', '--limit', '3600'];
    const text = execFileSync(join(CHECKOUT, 'bin/node'), args, { encoding: 'utf8' });
    const result = JSON.parse(text.trim().split('\n').at(-1)!) as { readonly written: number; readonly restored: number };
    expect(result).toMatchObject({ trials: 2, medianSeconds: expect.any(Number) });
    expect(result.restored).toBeGreaterThan(0);
    expect(result.restored).toBeLessThanOrEqual(result.written);
  });
});
