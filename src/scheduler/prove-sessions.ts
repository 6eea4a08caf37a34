// Executes a verify of the mode "sessions": reads back every pack that holds something of a session of an agent that is not proved yet. From then on
// its chunks may be offered to other agents (src/gateway/open-session.ts). One pass over the index for all of them.
//
// In this process, by worker threads: a child would have to be told thousands of sessions.

import { verifyPacks } from '../engine/verify-packs.ts';
import { DamageList, VerifyProgress } from '../engine/verify-report.ts';
import { directoryOf, type IndexedPack } from '../format/index-object.ts';
import { instantOf } from '../model/instant.ts';
import { hex } from '../repository/layout.ts';
import type { Repository } from '../repository/repository.ts';
import { type Execution, type ExecutionEnd, faultText, type ServiceRunPorts } from './service-run.ts';

const SESSIONS_AT_ONCE = 5000;
const THREADS = 1;
const TELL_MS = 1000;
const NAMED_MAX = 100;

export async function proveSessions(ports: ServiceRunPorts, execution: Execution): Promise<ExecutionEnd> {
  const { catalog, tenants, now } = ports;
  const { run } = execution;
  const unproved = (await catalog.sessions.list(run.tenantId))
    .filter(({ state, verifiedAt }) => state === 'committed' && verifiedAt === undefined)
    .slice(0, SESSIONS_AT_ONCE);
  if (unproved.length === 0) return { state: 'succeeded', result: { sessions: 0, packs: 0, bytesRead: 0 } };
  const wanted = new Set(unproved.map(({ session }) => session));
  const looked = await tenants.use(run.tenantId, (repository) => readBack(repository, wanted, execution));
  const at = instantOf(now());
  await catalog.transaction(async (tables) => {
    for (const { session } of unproved) {
      const row = await tables.sessions.get(session);
      if (row?.state === 'committed' && !looked.damaged.has(session)) await tables.sessions.put({ ...row, verifiedAt: at });
    }
    // A snapshot has the name of its session.
    for (const session of looked.damaged) {
      const point = await tables.recoveryPoints.get(run.tenantId, session);
      if (point !== undefined) await tables.recoveryPoints.put({ ...point, isSound: false });
    }
  });
  const { packs, bytesRead, damaged, messages } = looked;
  const result = { mode: 'sessions', sessions: unproved.length, packs, bytesRead };
  if (damaged.size === 0) return { state: 'succeeded', result };
  const message = `What ${damaged.size} backups have stored is not what it must be`;
  return {
    state: 'failed',
    result: { ...result, damage: messages, affectedSnapshots: [...damaged].slice(0, NAMED_MAX) },
    fault: faultText('REPOSITORY_DAMAGED', message),
  };
}

type Looked = {
  readonly packs: number;
  readonly bytesRead: number;
  /** Sessions that have something in a damaged pack. */
  readonly damaged: ReadonlySet<string>;
  readonly messages: readonly string[];
};

async function readBack(repository: Repository, wanted: ReadonlySet<string>, { signal, tell }: Execution): Promise<Looked> {
  const progress = new VerifyProgress();
  const damage = new DamageList(progress);
  const sessionsOf = new Map<string, readonly string[]>();
  const isWanted = (pack: IndexedPack): boolean => {
    const some = directoryOf(pack)
      .sessions.map(({ session }) => hex(session))
      .filter((session) => wanted.has(session));
    if (some.length > 0) sessionsOf.set(hex(pack.packId), some);
    return some.length > 0;
  };
  const { indexes } = await repository.heads.read({ signal });
  const timer = setInterval(
    () => tell({ phase: 'packs', bytesDone: progress.bytesDone, entriesDone: progress.packsDone }),
    TELL_MS,
  );
  try {
    const { packsRead, bytesRead } = await verifyPacks(repository, { indexes, isWanted, threads: THREADS }, damage, progress, {
      signal,
    });
    const damaged = new Set<string>();
    for (const { kind, id, pack } of damage.things) {
      if (kind === 'session-key' && wanted.has(id)) damaged.add(id);
      for (const session of sessionsOf.get(pack ?? id) ?? []) damaged.add(session);
    }
    // More than are named: nobody can tell any more whose they are.
    if (damage.count > damage.things.length) for (const session of wanted) damaged.add(session);
    const messages = damage.things.slice(0, NAMED_MAX).map(({ kind, id, message }) => `${kind} ${id}: ${message}`);
    return { packs: packsRead, bytesRead, damaged, messages };
  } finally {
    clearInterval(timer);
  }
}
