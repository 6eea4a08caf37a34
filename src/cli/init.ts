// Makes a repository.

import { Fault } from '../base/faults.ts';
import { makeDirectory } from '../base/make-directory.ts';
import { hex } from '../repository/layout.ts';
import { Repository } from '../repository/repository.ts';
import { closing, locationOf, repositoryOptions } from './open.ts';
import type { Invocation } from './verb.ts';

export async function init(invocation: Invocation): Promise<number> {
  const { options, environment, output } = invocation;
  const location = locationOf(options, environment);
  const details = await repositoryOptions(invocation, { location, passphraseFile: options.text('passphrase-file'), isNew: true });
  makeCacheDirectory(details.cacheDirectory);
  return closing(
    details.store,
    () => Repository.init({ ...details, label: options.text('label') ?? 'first' }),
    async (repository) => {
      const id = hex(repository.parameters.id);
      output.line(`Made the repository ${id} at ${repository.store.location}`);
      output.notice(
        'Without its passphrase nothing in it can be read. Keep a copy of the passphrase in a safe, and one of the key: holdfast key export.',
      );
      output.summary('init', { repository: id, location: repository.store.location, key: repository.keyring.keyId });
      await loadWhatComesNext();
      return 0;
    },
  );
}

/** A first backup follows. What its code compiles to is kept from run to run (see bin/holdfast); made now, it costs that backup neither its
 *  quarter of a second nor its 15 MiB. */
async function loadWhatComesNext(): Promise<void> {
  await Promise.all([
    import('./backup.ts'),
    import('../engine/backup.ts'),
    import('../engine/backup-files.ts'),
    import('../../agents/files/source.ts'),
  ]);
}

/** Before the repository is made: a backup needs it, and the user should know now. */
function makeCacheDirectory(directory: string): void {
  try {
    makeDirectory(directory, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Fault('INDEX_CACHE_DENIED', `Cannot make the cache directory "${directory}": ${code}`, { cause: error });
  }
}
