import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openEmbeddedRegistry } from '../../src/registry/embedded.ts';
import { registryConformance } from '../conformance/registry.ts';

const directory = mkdtempSync(join(tmpdir(), 'holdfast-registry-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('The embedded registry', () => {
  registryConformance(() => openEmbeddedRegistry(join(directory, 'registry.db')));

  it('refuses a file that is something else', () => {
    const path = join(directory, 'text');
    writeFileSync(path, 'This is no registry, and long enough that it could be one. '.repeat(50));
    expect(() => openEmbeddedRegistry(path)).toThrow(expect.objectContaining({ code: 'REGISTRY_DAMAGED' }));
  });

  it('says so when it may not open the file', () => {
    expect(() => openEmbeddedRegistry(directory)).toThrow(expect.objectContaining({ code: 'REGISTRY_DENIED' }));
  });
});
