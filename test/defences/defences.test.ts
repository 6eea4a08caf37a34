import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CHECKOUT } from '../architecture/source-files.ts';
import { DEFENCES, FAILURES } from './table.ts';

const read = (file: string): string => readFileSync(join(CHECKOUT, file), 'utf8');

describe('the failures of recoveries', () => {
  it('have a defence each, and none has a number that there is not', () => {
    const numbers = [...new Set(DEFENCES.map(({ failure }) => failure))].sort((a, b) => a - b);
    expect(numbers).toEqual(FAILURES.map((_, n) => n + 1));
  });

  it.each(DEFENCES.map((one) => [one.failure, one.defence, one] as const))('%i: %s', (_, __, { cuts, test: [file, name] }) => {
    for (const { file: source, line, without } of cuts) {
      expect(read(source).split(line), `${source}: ${line}`).toHaveLength(2);
      expect(without).not.toBe(line);
    }
    expect(read(file)).toContain(name);
  });
});
