import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { makeBatchWork } from '../../src/base/batch-work.ts';
import { policyOf } from '../support/scheduling.ts';

describe('Batch work', () => {
  it('is what another process of ours becomes', () => {
    const child = spawn('sleep', ['60']);
    try {
      expect(policyOf(child.pid!)).toBe('other');
      expect(makeBatchWork(child.pid!)).toBe(true);
      expect(policyOf(child.pid!)).toBe('batch');
    } finally {
      child.kill('SIGKILL');
    }
  });

  it('is nothing where there is no such process', () => {
    const largest = Number(readFileSync('/proc/sys/kernel/pid_max', 'utf8'));
    expect(makeBatchWork(largest)).toBe(false);
  });
});
