// Keys of a repository: list, add, remove, passwd, rotate. Export and import are in key-safe.ts.

import { Fault } from '../base/faults.ts';
import {
  addOwnerKey,
  addWriterKey,
  changePassphrase,
  type KeyInfo,
  listKeys,
  planRotation,
  removeKey,
  rotatePair,
} from '../repository/keys.ts';
import { Repository } from '../repository/repository.ts';
import { closing, locationOf, repositoryOptions, withRepository } from './open.ts';
import { usage } from './option.ts';
import type { Output } from './output.ts';
import { readPassphrase } from './passphrase.ts';
import { formatTime, tableLines } from './table.ts';
import type { Invocation } from './verb.ts';

export function list(invocation: Invocation): Promise<number> {
  const { output, signal } = invocation;
  return withRepository(invocation, async (repository) => {
    const keys = await listKeys(repository, { signal });
    for (const key of keys) output.record('key', key);
    const columns = [{ title: '' }, { title: 'id' }, { title: 'role' }, { title: 'made' }, { title: 'label' }];
    for (const line of tableLines(columns, keys.map(rowOf))) output.line(line);
    output.notice('* opened the repository now');
    output.summary('key list', { keys: keys.length });
    return 0;
  });
}

function rowOf({ id, role, label, createdAt, isInUse }: KeyInfo): string[] {
  return [isInUse ? '*' : '', id, role, formatTime(createdAt), label];
}

export function add(invocation: Invocation): Promise<number> {
  const { options, output, signal } = invocation;
  const role = options.text('role') ?? 'owner';
  const asset = options.text('asset');
  if (role === 'writer' && asset === undefined) throw usage("A writer's key writes one asset: name it with --asset");
  if (role === 'owner' && asset !== undefined) throw usage("An owner's key opens every asset: --asset goes with --role writer");
  return withRepository(invocation, async (repository) => {
    const key = {
      passphrase: await newPassphrase(invocation),
      label: options.text('label') ?? (asset === undefined ? 'owner' : `writer of ${asset}`),
      now: new Date(),
    };
    const id =
      asset === undefined ? await addOwnerKey(repository, key, { signal }) : await addWriterKey(repository, asset, key, { signal });
    output.line(`Added the ${role}'s key ${id} (${key.label})`);
    output.summary('key add', { key: id, role, label: key.label, ...(asset === undefined ? {} : { asset }) });
    return 0;
  });
}

export function remove(invocation: Invocation): Promise<number> {
  const { args, options, output, signal } = invocation;
  const dryRun = options.flag('dry-run');
  return withRepository(invocation, async (repository) => {
    const { id, role, label } = await removeKey(repository, args[0]!, dryRun, { signal });
    output.line(`${dryRun ? 'Would remove' : 'Removed'} the ${role}'s key ${id} (${label})`);
    if (!dryRun)
      output.notice(
        'Who has a copy of the key object and knows its passphrase can still open what was written until now; "holdfast key rotate" ends that for session keys.',
      );
    output.summary('key remove', { dryRun, key: id, role });
    return 0;
  });
}

export function passwd(invocation: Invocation): Promise<number> {
  const { output, signal, options } = invocation;
  return withRepository(invocation, async (repository) => {
    const current = (await listKeys(repository, { signal })).find(({ isInUse }) => isInUse);
    const key = {
      passphrase: await newPassphrase(invocation),
      label: options.text('label') ?? current?.label ?? 'owner',
      now: new Date(),
    };
    const id = await changePassphrase(repository, key, { signal });
    output.line(`The key ${repository.keyring.keyId} was replaced by ${id}, which opens with the new passphrase`);
    output.summary('key passwd', { key: id, replaced: repository.keyring.keyId });
    return 0;
  });
}

export async function rotate(invocation: Invocation): Promise<number> {
  const { options, environment, output, signal } = invocation;
  const details = await repositoryOptions(invocation, {
    location: locationOf(options, environment),
    passphraseFile: options.text('passphrase-file'),
    isNew: false,
  });
  return closing(
    details.store,
    () => Repository.open(details),
    async (repository) => {
      const current = (await listKeys(repository, { signal })).find(({ isInUse }) => isInUse);
      if (current === undefined) throw new Fault('KEY_NOT_FOUND', `The key ${repository.keyring.keyId} has just been removed`);
      const rotation = {
        passphrase: details.passphrase,
        label: current.label,
        now: new Date(),
        dropOtherOwners: options.flag('drop-other-owners'),
        onSession: (done: number, total: number) => output.status(`${done} / ${total} session keys`),
      };
      if (options.flag('dry-run')) {
        const { foreign, writers, sessions } = await planRotation(repository, rotation, { signal });
        output.line(`Would seal ${sessions} session keys anew to a new pair`);
        printRotated(output, foreign, writers, true);
        output.summary('key rotate', { dryRun: true, sessions, removed: idsOf(foreign), writers: idsOf(writers) });
        return 0;
      }
      const { keyId, pairId, sessions, removed, writers } = await rotatePair(repository, rotation, { signal });
      output.status('');
      output.line(`New pair ${pairId}; ${sessions} session keys were sealed anew; the key is ${keyId} now`);
      printRotated(output, removed, writers, false);
      output.summary('key rotate', {
        dryRun: false,
        key: keyId,
        pair: pairId,
        sessions,
        removed: idsOf(removed),
        writers: idsOf(writers),
      });
      return 0;
    },
  );
}

const idsOf = (keys: readonly KeyInfo[]): string[] => keys.map(({ id }) => id);

function printRotated(output: Output, removed: readonly KeyInfo[], writers: readonly KeyInfo[], dryRun: boolean): void {
  for (const { id, label } of removed) output.line(`  ${dryRun ? 'would remove' : 'removed'} the owner's key ${id} (${label})`);
  for (const { id, label } of writers)
    output.warning(`The writer's key ${id} (${label}) still seals to the old pair; make it anew`, { key: id });
}

export function newPassphrase({ options, environment, output }: Invocation): Promise<Uint8Array> {
  const source = {
    file: options.text('new-passphrase-file'),
    fileVariable: 'HOLDFAST_NEW_PASSPHRASE_FILE',
    variable: 'HOLDFAST_NEW_PASSPHRASE',
    prompt: 'New passphrase',
    isNew: true,
  };
  return readPassphrase(source, environment, output);
}
