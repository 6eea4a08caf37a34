import { expect, it } from 'vitest';
import { missingCopies } from '../../src/engine/copy.ts';
import { newRepository } from '../support/new-repository.ts';
import { scratchDirectory } from '../support/scratch.ts';

it('refuses a repository that cannot take the units of the other before anything is copied', async () => {
  const from = await newRepository(scratchDirectory());
  const to = await newRepository(scratchDirectory());
  const { parameters } = to;
  Object.defineProperty(to, 'parameters', {
    value: { ...parameters, paged: { ...parameters.paged, unitBytes: 2 * parameters.paged.unitBytes } },
  });
  // Also where nothing is to be copied yet: what would be refused in the end is refused at once.
  await expect(missingCopies(from, to, [], new AbortController().signal)).rejects.toMatchObject({
    code: 'USAGE',
    message: expect.stringContaining('units of another size'),
  });
});
