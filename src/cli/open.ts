// From options and environment to an open repository.

import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { numberingId } from '../base/process-identity.ts';
import { formatDuration } from '../base/units.ts';
import type { RepositoryOptions } from '../repository/repository.ts';
import { Repository } from '../repository/repository.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { openStore } from '../store/open.ts';
import type { Patience } from '../store/retry.ts';
import type { Environment } from './environment.ts';
import { type OptionValues, usage } from './option.ts';
import type { Output } from './output.ts';
import { REPOSITORY_PASSPHRASE, readPassphrase } from './passphrase.ts';
import type { Invocation } from './verb.ts';

/** Runs `work` with the repository that the options name, and closes it whatever happens. `isPatient`: an outage of the store that has answered is
 *  waited for; not by who goes on in some other way when it does not answer. */
export async function withRepository<T>(
  invocation: Invocation,
  work: (repository: Repository) => Promise<T>,
  { isPatient = true } = {},
): Promise<T> {
  const { options } = invocation;
  const details = await repositoryOptions(invocation, {
    location: locationOf(options, invocation.environment),
    passphraseFile: options.text('passphrase-file'),
    isNew: false,
    isPatient,
  });
  return closing(details.store, () => Repository.open(details), work);
}

export async function closing<T>(
  store: ObjectStore,
  open: () => Promise<Repository>,
  work: (repository: Repository) => Promise<T>,
): Promise<T> {
  let repository: Repository | undefined;
  try {
    repository = await open();
    return await work(repository);
  } finally {
    await (repository ?? store).close();
  }
}

export type RepositoryPlace = {
  readonly location: string;
  readonly passphraseFile: string | undefined;
  readonly isNew: boolean;
  readonly isPatient?: boolean;
};

/** The passphrase is read before the store is touched. */
export async function repositoryOptions(invocation: Invocation, place: RepositoryPlace): Promise<RepositoryOptions> {
  const { environment, output } = invocation;
  const { derive } = invocation.early;
  const passphrase = await readPassphrase(
    { ...REPOSITORY_PASSPHRASE, file: place.passphraseFile, isNew: place.isNew },
    environment,
    output,
  );
  const store = await openStoreOf(invocation, place.location, place.isNew, place.isPatient);
  return {
    store,
    passphrase,
    cacheDirectory: cacheDirectoryOf(invocation),
    process: processFacts(),
    ...(derive === undefined ? {} : { derive }),
  };
}

/** Of all repositories. */
export function cacheDirectoryOf({ options, environment }: Invocation): string {
  return resolve(options.text('cache-dir') ?? environment.cacheDirectory);
}

export async function openStoreOf(
  { options, environment, output, signal }: Invocation,
  location: string,
  create: boolean,
  isPatient = false,
): Promise<ObjectStore> {
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_DEFAULT_REGION } = environment.variables;
  const region = AWS_REGION || AWS_DEFAULT_REGION;
  const uploadBytesPerSecond = options.bytes('upload-limit');
  const downloadBytesPerSecond = options.bytes('download-limit');
  const isLimited = uploadBytesPerSecond !== undefined || downloadBytesPerSecond !== undefined;
  return openStore(location, {
    create,
    ...(AWS_ACCESS_KEY_ID && AWS_SECRET_ACCESS_KEY
      ? {
          credentials: {
            accessKeyId: AWS_ACCESS_KEY_ID,
            secretAccessKey: AWS_SECRET_ACCESS_KEY,
            ...(AWS_SESSION_TOKEN ? { sessionToken: AWS_SESSION_TOKEN } : {}),
          },
        }
      : {}),
    ...(region ? { region } : {}),
    ...(isLimited
      ? {
          limits: {
            ...(uploadBytesPerSecond === undefined ? {} : { uploadBytesPerSecond }),
            ...(downloadBytesPerSecond === undefined ? {} : { downloadBytesPerSecond }),
          },
        }
      : {}),
    ...(isPatient ? { patience: patienceOf(output, signal) } : {}),
    ...(output.options.verbose
      ? {
          onEvent: ({ verb, key, durationMs, fault }) =>
            void (
              fault !== undefined &&
              output.detail(`store: ${verb} ${key} failed after ${Math.round(durationMs)} ms: ${fault.message}`)
            ),
        }
      : {}),
  });
}

function patienceOf(output: Output, signal: AbortSignal): Patience {
  return {
    signal,
    onOutage: ({ message, code }, waitMs) =>
      output.warning(`The store does not answer (${message}); it is waited for, ${formatDuration(waitMs)} at the most`, { code }),
    onAnswer: () => output.notice('The store answers again'),
  };
}

export function locationOf(options: OptionValues, { variables }: Environment): string {
  const location = options.text('repo') ?? variables.HOLDFAST_REPO;
  if (location === undefined || location === '') {
    throw usage(
      'No repository was named',
      'Give --repo LOCATION or set HOLDFAST_REPO: a directory, or s3+https://host/bucket/prefix.',
    );
  }
  return location;
}

export function processFacts(): RepositoryOptions['process'] {
  return { host: hostname(), processId: process.pid, bootId: numberingId() };
}
