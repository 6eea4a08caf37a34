import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The environment in which the command line uses a repository below `scratch`, whose passphrase is written there. */
export function scratchRepository(scratch: string): NodeJS.ProcessEnv {
  const passphraseFile = join(scratch, 'passphrase');
  writeFileSync(passphraseFile, 'bench\n');
  return {
    ...process.env,
    HOLDFAST_REPO: join(scratch, 'holdfast'),
    HOLDFAST_CACHE_DIR: join(scratch, 'cache'),
    HOLDFAST_PASSPHRASE_FILE: passphraseFile,
  };
}
