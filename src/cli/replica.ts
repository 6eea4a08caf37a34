// A repository's copy at another site: keeping it, looking at it, proving it, mending it, releasing it.

import { randomBytes } from 'node:crypto';
import { EXIT, Fault } from '../base/faults.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import { discardLeftState, rejoinAsReplica } from '../replica/rejoin.ts';
import { ReplicaProgress } from '../replica/replica-progress.ts';
import { releaseReplica, replicaStatus } from '../replica/replica-status.ts';
import { Replication } from '../replica/replication.ts';
import { verifyReplica } from '../replica/verify-replica.ts';
import { readLeftStates } from '../repository/left-states.ts';
import { type OpenedRepository, openRepository } from '../repository/open.ts';
import { registerCodec } from '../repository/register-codec.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { openStoreOf } from './open.ts';
import { usage } from './option.ts';
import { REPOSITORY_PASSPHRASE, readPassphrase } from './passphrase.ts';
import { hostOf, userOf } from './person.ts';
import { keepLocked, lockReplica } from './replica-lock.ts';
import type { Invocation } from './verb.ts';

const PARALLEL = 8;
const REPORT_MS = 1000;

export async function replicaRun(invocation: Invocation): Promise<number> {
  const { options, output, signal } = invocation;
  return withPlaces(invocation, { createReplica: true, needsSource: true }, async ({ source, replica }) => {
    const progress = new ReplicaProgress();
    const report = (): void => {
      const lagSeconds = progress.lagSeconds(performance.now());
      output.record('lag', {
        at: new Date().toISOString(),
        lagSeconds: lagSeconds === undefined ? null : Math.round(lagSeconds * 1000) / 1000,
        lagBytes: progress.bytesBehind,
        bytesCopied: progress.bytesCopied,
        packs: progress.packs,
        logObjects: progress.logObjects,
        removed: progress.removed,
        missing: progress.missing.size,
      });
      output.flush();
      output.status(
        `${lagSeconds === undefined ? 'first copy' : `${lagSeconds.toFixed(1)} s behind`}, ${formatBytes(progress.bytesBehind)} to copy`,
      );
    };
    if (options.flag('rejoin')) {
      const rejoined = await rejoinAsReplica({ source: source!, replica, now: () => new Date(), signal });
      const left = rejoined.kind === 'joined' ? rejoined.left : undefined;
      if (left !== undefined)
        output.notice(`${replica.location} held what ${left.source} does not have: kept as the state ${left.id}`);
    }
    const timer = setInterval(report, REPORT_MS);
    try {
      const replication = await Replication.open({
        source: source!,
        replica,
        progress,
        parallel: options.count('parallel') ?? PARALLEL,
        intervalMs: (options.count('interval') ?? 1) * 1000,
        keepAll: options.flag('keep-all'),
        signal,
        onTrouble: ({ code, message }) => output.warning(message, { code }),
        nowMs: () => performance.now(),
        now: () => new Date(),
      });
      if (options.flag('once')) {
        await replication.once();
        await lockReplica(invocation, source!, replica);
      } else {
        const ended = new AbortController();
        const locks = { replica, isWhole: () => progress.isWhole, signal: AbortSignal.any([signal, ended.signal]) };
        const locking = keepLocked(invocation, source!, locks);
        await Promise.all([replication.follow().finally(() => ended.abort()), locking]);
      }
    } finally {
      clearInterval(timer);
      output.status('');
    }
    report();
    for (const [key, why] of progress.missing) output.warning(`${key}: ${why}`, { key });
    const { packs, bytesCopied, removed, missing } = progress;
    output.line(
      `Copied ${packs} packs, ${formatBytes(bytesCopied)} to ${replica.location}; removed ${removed} objects; took ${formatDuration(performance.now())}`,
    );
    output.summary('replica run', {
      packs,
      bytesCopied,
      removed,
      missing: missing.size,
      durationMs: Math.round(performance.now()),
    });
    return missing.size > 0 ? EXIT.damage : 0;
  });
}

export async function replicaStatusOf(invocation: Invocation): Promise<number> {
  const { output, signal } = invocation;
  return withPlaces(invocation, { createReplica: false, needsSource: false }, async ({ source, replica, keyring }) => {
    const status = await replicaStatus(replica, source?.store, { keyring, now: new Date(), signal });
    if (status === undefined) throw new Fault('REPLICA_FOREIGN', `There is no replica at ${replica.location}`);
    const { mark, asOfSecondsAgo, behind } = status;
    const left = (await readLeftStates(replica, registerCodec(keyring, randomBytes), { signal }))?.value ?? [];
    output.line(`Replica of ${mark.source}: ${mark.state}, as of ${mark.asOf} (${Math.round(asOfSecondsAgo)} s ago)`);
    if (behind !== undefined)
      output.line(
        `  ${behind.changes} changes, ${behind.snapshots} snapshots and ${formatBytes(behind.bytes)} in ${behind.packs} packs behind`,
      );
    if (mark.state === 'released') output.line(`  released by ${mark.releasedBy}: ${mark.reason}`);
    for (const one of left) output.line(`  keeps the state ${one.id}, which was left on ${one.at}`);
    const { state, source: origin, asOf, sequence, releasedBy, reason } = mark;
    output.summary('replica status', {
      state,
      source: origin,
      asOf,
      asOfSecondsAgo: Math.round(asOfSecondsAgo * 1000) / 1000,
      sequence,
      behind: behind ?? null,
      left: left.map(({ id, at }) => ({ id, at })),
      releasedBy,
      reason,
    });
    return 0;
  });
}

export async function replicaVerify(invocation: Invocation): Promise<number> {
  return examine(invocation, 'replica verify', invocation.options.flag('full'), false);
}

export async function replicaRepair(invocation: Invocation): Promise<number> {
  return examine(invocation, 'replica repair', true, true);
}

async function examine(invocation: Invocation, verb: string, isFull: boolean, mend: boolean): Promise<number> {
  const { options, output, signal } = invocation;
  return withPlaces(invocation, { createReplica: false, needsSource: mend }, async ({ source, replica, keyring }) => {
    const parallel = options.count('parallel') ?? PARALLEL;
    const found = await verifyReplica({
      source: source?.store,
      replica,
      keyring,
      isFull,
      mend,
      parallel,
      signal,
      onObject: () => {},
    });
    for (const { key, why, isMended } of found.problems) {
      if (output.isJson) output.record('damage', { thing: 'object', id: key, message: why, isMended });
      else output.line(`${isMended ? 'mended' : 'DAMAGED'} ${key}: ${why}`);
    }
    const left = found.problemCount - found.mended;
    output.line(
      `${left === 0 ? 'Whole' : `DAMAGED: ${left} objects`}: ${found.objects} objects, ${formatBytes(found.bytesRead)} read, ${found.mended} mended; took ${formatDuration(performance.now())}`,
    );
    output.summary(verb, {
      outcome: left === 0 ? 'clean' : 'damaged',
      objects: found.objects,
      bytesRead: found.bytesRead,
      damaged: found.problemCount,
      mended: found.mended,
      durationMs: Math.round(performance.now()),
    });
    return left === 0 ? 0 : EXIT.damage;
  });
}

export async function replicaDiscard(invocation: Invocation): Promise<number> {
  const { args, output, signal } = invocation;
  const id = args[0]!;
  return withPlaces(invocation, { createReplica: false, needsSource: false, withoutSource: true }, async ({ replica, keyring }) => {
    const codec = registerCodec(keyring, randomBytes);
    const states = (await readLeftStates(replica, codec, { signal }))?.value ?? [];
    if (!states.some((one) => one.id === id))
      throw usage(
        `${replica.location} keeps no state "${id}"`,
        states.length === 0 ? 'It keeps none.' : `It keeps: ${states.map((one) => `${one.id} (left on ${one.at})`).join(', ')}`,
      );
    await discardLeftState(replica, codec, id, { signal });
    output.line(`The state ${id} is let go; what only it had goes with the next look of the replication, or the next prune`);
    output.summary('replica discard', { id });
    return 0;
  });
}

export async function replicaRelease(invocation: Invocation): Promise<number> {
  const { options, output, signal } = invocation;
  const reason = options.text('reason');
  if (reason === undefined) throw usage('"holdfast replica release" needs --reason TEXT');
  return withPlaces(invocation, { createReplica: false, needsSource: false, withoutSource: true }, async ({ replica, keyring }) => {
    const mark = await releaseReplica(replica, keyring, { by: `${userOf()}@${hostOf(undefined)}`, reason, signal });
    output.line(`The repository at ${replica.location} is released, as of ${mark.asOf}: it may be written to`);
    output.summary('replica release', {
      asOf: mark.asOf,
      sequence: mark.sequence,
      releasedBy: mark.releasedBy,
      reason: mark.reason,
    });
    return 0;
  });
}

type Places = {
  readonly source: OpenedRepository | undefined;
  readonly replica: ObjectStore;
  readonly keyring: OpenedRepository['keyring'];
};

type Need = { readonly createReplica: boolean; readonly needsSource: boolean; readonly withoutSource?: boolean };

/** The key comes from the source where there is one, and otherwise from the replica, which has the same. */
async function withPlaces<T>(invocation: Invocation, need: Need, work: (places: Places) => Promise<T>): Promise<T> {
  const { options, environment, output } = invocation;
  const to = options.text('to') ?? environment.variables.HOLDFAST_TO_REPO;
  if (to === undefined || to === '') throw usage(`"holdfast ${invocation.verb.name}" needs --to LOCATION, or HOLDFAST_TO_REPO`);
  const location = need.withoutSource === true ? undefined : options.text('repo') || environment.variables.HOLDFAST_REPO;
  if (need.needsSource && !location) throw usage(`"holdfast ${invocation.verb.name}" needs --repo LOCATION, or HOLDFAST_REPO`);
  const passphrase = await readPassphrase(
    { ...REPOSITORY_PASSPHRASE, file: options.text('passphrase-file'), isNew: false },
    environment,
    output,
  );
  const opened: ObjectStore[] = [];
  const open = async (as: Invocation, place: string, create: boolean): Promise<ObjectStore> => {
    const store = await openStoreOf(as, place, create);
    opened.push(store);
    return store;
  };
  try {
    const source = location ? await openRepository(await open(invocation, location, false), passphrase) : undefined;
    const replica = await open(atReplica(invocation), to, need.createReplica);
    const keyring = (source ?? (await openRepository(replica, passphrase))).keyring;
    return await work({ source, replica, keyring });
  } finally {
    for (const store of opened) await store.close();
  }
}

const CREDENTIALS = [
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_REGION',
  'AWS_DEFAULT_REGION',
] as const;

/** Two sites should not open with one set of credentials: HOLDFAST_TO_AWS_... are those of the replica, all together. */
function atReplica(invocation: Invocation): Invocation {
  const { environment } = invocation;
  const { variables } = environment;
  if (!variables.HOLDFAST_TO_AWS_ACCESS_KEY_ID) return invocation;
  const own = Object.fromEntries(CREDENTIALS.map((name) => [name, variables[`HOLDFAST_TO_${name}`]]));
  return { ...invocation, environment: { ...environment, variables: { ...variables, ...own } } };
}
