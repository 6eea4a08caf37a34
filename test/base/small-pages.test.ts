import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

describe('keeping to small pages', () => {
  test('is what the kernel says of the process afterwards', () => {
    const program = `
      const { readFileSync } = await import('node:fs');
      const large = () => /THP_enabled:\\s*(\\d)/.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
      const before = large();
      const { keepToSmallPages } = await import('./src/base/small-pages.ts');
      keepToSmallPages();
      console.log(before, large());`;
    const answer = execFileSync(join(ROOT, 'bin/node'), ['--input-type=module', '-e', program], { cwd: ROOT, encoding: 'utf8' });
    expect(answer.trim()).toBe('1 0');
  });
});
