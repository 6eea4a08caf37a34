// How PostgreSQL recoveries go wrong elsewhere, and what keeps each from going wrong here: for each failure the line that is the defence, what that
// line would be without it, and the test that fails then. `bin/node ops/test-defences.ts` takes away one after the other and sees the test fail;
// defences.test.ts sees that every failure stands here, with lines and tests that exist.

export type Cut = {
  readonly file: string;
  /** Stands there once. */
  readonly line: string;
  readonly without: string;
};

export type Defence = {
  readonly failure: number;
  readonly defence: string;
  readonly cuts: readonly Cut[];
  /** Its file, and a part of its name. */
  readonly test: readonly [file: string, name: string];
};

export const FAILURES: readonly string[] = [
  'The repository fails in the middle of replay: an error, a flipped bit, a refusal, silence',
  'A target after the last commit; an idle database; a fresh cluster without a commit',
  'A target before or inside a base backup',
  'A failover while the capture stands still',
  'A missing history file',
  'A timeline forked by an accidental promotion, or by a test restore that archives into production',
  'The same name, other bytes',
  'Skipped numbers of timelines',
  'Success out of order, past a failure',
  'Acknowledged without being stored',
  'A full disk; a store that hangs for ever',
  'A slot that is lost, dropped, or unreserved',
  'Streaming from a demoted node with green health',
  'An idle database whose last segment never completes',
  'What object stores do: 200 with an error in it, storms of 503, stale listings, uploads in parts',
  'Segments that are not 16 MiB',
  'Time zones, summer time, abbreviations',
  'Clock steps: commit times that are not monotone',
  'Retention that removes what a restore is reading',
  'The floor of parameters',
  'Tablespaces created after the base; unlogged tables',
  'Corrupt pages copied for weeks',
  'Another collation or major version on the target host; pg_upgrade',
  'Databases that come and go, prepared and long transactions across the wanted time',
];

const cut = (file: string, line: string, without: string): Cut => ({ file, line, without });
const PG = 'agents/postgres';

export const DEFENCES: readonly Defence[] = [
  {
    failure: 1,
    defence: 'Only what is proven absent is told to the server as the end of the log',
    cuts: [cut(`${PG}/recovery-settings.ts`, 'then exit 1; else exit 255; fi`', 'then exit 1; else exit 1; fi`')],
    test: ['test/postgres/restore-command.test.ts', 'only when nobody hands the log out the whole program is started'],
  },
  {
    failure: 1,
    defence: 'The server has a place to stop at, also for the latest one: an end before it is fatal',
    cuts: [
      cut(
        `${PG}/recovery-settings.ts`,
        "else lines.push(`recovery_target_lsn = '${formatLsn(stopAt.position)}'`, ",
        "else lines.push(''.slice(0), ",
      ),
    ],
    test: ['test/postgres/recovery-faults.test.ts', 'fails, and never ends early, when the repository fails in the middle'],
  },
  {
    failure: 1,
    defence: 'A base of which a file cannot be read is no base',
    cuts: [cut(`${PG}/restore-base.ts`, 'if (fatal !== undefined)', 'if (fatal !== undefined && problems.length < 0)')],
    test: ['test/postgres/recovery-faults.test.ts', 'ends with a base of which a part is damaged'],
  },
  {
    failure: 2,
    defence: 'A time is in the window only when a later mark, or the last transaction itself, proves it',
    cuts: [
      cut('src/engine/find-time.ts', 'return time <= Math.max(last.time, isBaseInRun ? part.base.stoppedAt : 0);', 'return true;'),
    ],
    test: ['test/engine/recovery-plan.test.ts', 'is refused before the first base, after the last transaction'],
  },
  {
    failure: 2,
    defence: 'Where nobody has committed since the base, the base itself is the place to stop at',
    cuts: [
      cut(
        `${PG}/recovery-settings.ts`,
        '"recovery_target = \'immediate\'"',
        "`recovery_target_time = '${new Date().toISOString().replace('Z', '+00')}'`",
      ),
    ],
    test: ['test/postgres/recovery.test.ts', 'comes back to an instant of an idle database'],
  },
  {
    failure: 3,
    defence: 'No base leads to a time before it was complete',
    cuts: [cut('src/engine/find-time.ts', ' || (isBaseInRun && time < base.stoppedAt)', '')],
    test: ['test/engine/recovery-plan.test.ts', 'is refused before the first base'],
  },
  {
    failure: 3,
    defence: 'Nor to a position in it',
    cuts: [cut('src/engine/recovery-plan.ts', 'if (position < way.base.stop || position', 'if (position')],
    test: ['test/engine/recovery-plan.test.ts', 'is refused before the first base'],
  },
  {
    failure: 4,
    defence: 'A log that was not captured is recorded as a gap with its cause',
    cuts: [cut(`${PG}/capture.ts`, 'await this.#catalogue.addGap({', 'void ({')],
    test: ['test/postgres/two-nodes.test.ts', 'whose log nobody captured shows the gap at once'],
  },
  {
    failure: 4,
    defence: 'And a new base begins by itself',
    cuts: [
      cut(`${PG}/protect.ts`, "bases.need('log is missing since the last one', signal);", ''),
      cut(`${PG}/protect.ts`, 'if (last === undefined || last.to.position < at.position)', 'if (last === undefined)'),
    ],
    test: ['test/postgres/two-nodes.test.ts', 'whose log nobody captured shows the gap at once'],
  },
  {
    failure: 5,
    defence: 'No way leads to a timeline of which nobody knows where it comes from',
    cuts: [cut('src/engine/recovery-plan.ts', 'return timeline === 1 ? [{', 'return timeline > 0 ? [{')],
    test: ['test/engine/log-weather.test.ts', 'of a timeline whose history is missing'],
  },
  {
    failure: 5,
    defence: 'A server is not told that there is no such history',
    cuts: [cut(`${PG}/log-files.ts`, 'if (timeline !== 1 && view.epochs', 'if (timeline < 1 && view.epochs')],
    test: ['test/engine/log-weather.test.ts', 'of a timeline whose history is missing'],
  },
  {
    failure: 6,
    defence: 'Two histories of one number are refused',
    cuts: [cut('src/engine/log-catalogue.ts', 'if (known.file === history.file) return now;', 'return now;')],
    test: ['test/postgres/failover.test.ts', 'a second timeline under one number is refused'],
  },
  {
    failure: 6,
    defence: 'A restored copy archives nothing',
    cuts: [
      cut(`${PG}/restored-server.ts`, "archive_mode: 'off',", ''),
      cut(`${PG}/recovery-settings.ts`, "'archive_mode = off', \"archive_command = ''\"", ''),
      cut(`${PG}/recovery-settings.ts`, '|archive_mode|archive_command|', '|'),
    ],
    test: ['test/postgres/recovery-faults.test.ts', 'takes nothing over that production was told'],
  },
  {
    failure: 7,
    defence: 'What is stored again under a position is compared, and other bytes are refused',
    cuts: [cut('src/engine/log-coverage.ts', 'if (!bytesEqual(this.#digest(bytes), known.digest))', 'if (bytes.length < 0)')],
    test: ['test/engine/log.test.ts', 'refuses other bytes under the same positions'],
  },
  {
    failure: 7,
    defence: 'A capture goes on only behind log that the server has, too: also where the stored one ends with a segment',
    cuts: [cut(`${PG}/continuation.ts`, 'ours.equals(theirs)', 'ours.length > 0')],
    test: ['test/postgres/set-back.test.ts', 'is refused when it has passed the end of what is stored'],
  },
  {
    failure: 7,
    defence: 'So does a capture whose key opens nothing, and a base backup is of a server that could be captured',
    cuts: [cut(`${PG}/continuation.ts`, 'bytesEqual(keyring.ids.id(theirs), digest)', 'theirs.length > 0')],
    test: ['test/e2e/postgres-set-back.test.ts', 'a server that was set back is neither captured nor backed up'],
  },
  {
    failure: 7,
    defence: 'A base is replayed over only by log that holds its checkpoint',
    cuts: [cut(`${PG}/base-of-log.ts`, 'one.from <= page && one.to > position', 'one.from > one.to')],
    test: ['test/postgres/set-back.test.ts', 'gives no base backup that the stored log of another history is replayed over'],
  },
  {
    failure: 8,
    defence: 'The next timeline is what the server says',
    cuts: [cut(`${PG}/capture.ts`, 'at = { timeline: ended.timeline,', 'at = { timeline: at.timeline + 1,')],
    test: ['test/postgres/failover.test.ts', 'while capture is away loses nothing'],
  },
  {
    failure: 9,
    defence: 'What is called durable has everything before it: one object after the other',
    cuts: [cut('src/engine/log-writer.ts', 'await this.#shipper.ship(section, kind', 'void this.#shipper.ship(section, kind')],
    test: ['test/engine/log-weather.test.ts', 'never stores or promises what follows an object'],
  },
  {
    failure: 10,
    defence: 'The server is told that log is flushed when it is stored, not when it has come',
    cuts: [cut(`${PG}/timeline-capture.ts`, 'this.#source.report(end, durableRecord,', 'this.#source.report(end, end,')],
    test: ['test/postgres/capture-faults.test.ts', 'whose store hangs for ever acknowledges nothing'],
  },
  {
    failure: 11,
    defence: 'While its files are not all there a data directory has no pg_control: no server starts in it',
    cuts: [cut(`${PG}/data-directory.ts`, 'rmSync(join(this.path, CONTROL), { force: true });', '')],
    test: ['test/postgres/interrupted-restore.test.ts', 'by SIGINT or SIGKILL, at each of its stages'],
  },
  {
    failure: 11,
    defence: 'A store that takes nothing is told of',
    cuts: [cut(`${PG}/timeline-capture.ts`, 'if (isStalled && !this.#isStalled) {', 'if (isStalled && durable > end) {')],
    test: ['test/postgres/capture-faults.test.ts', 'whose store hangs for ever acknowledges nothing'],
  },
  {
    failure: 12,
    defence: 'A slot that holds no log any more is made anew, and what it lost is a gap',
    cuts: [cut(`${PG}/capture.ts`, "if (ended === 'removed') {", "if (ended === 'removed' && signal.aborted) {")],
    test: ['test/postgres/recovery.test.ts', 'names the gap when the server has removed log'],
  },
  {
    failure: 12,
    defence: 'A slot that may lose log is told of before',
    cuts: [cut(`${PG}/server-watch.ts`, "if (slot === 'unreserved' || ", 'if (')],
    test: ['test/postgres/two-nodes.test.ts', 'what a look at the server finds is told by kind'],
  },
  {
    failure: 13,
    defence: 'A server that goes on with a timeline that others have left is not captured as production',
    cuts: [cut(`${PG}/timeline-capture.ts`, 'this.#isLate = newest > at.timeline;', 'this.#isLate = newest < at.timeline;')],
    test: ['test/postgres/two-nodes.test.ts', 'is not captured with good health from a node that was demoted'],
  },
  {
    failure: 13,
    defence: 'The files of a timeline that the server does not write any more are not read',
    cuts: [cut(`${PG}/written-log.ts`, 'if (written !== timeline) throw', 'if (written === 0) throw')],
    test: ['test/postgres/written-log.test.ts', 'is none of a timeline that the server does not write'],
  },
  {
    failure: 14,
    defence: 'The open segment is shipped by time',
    cuts: [cut('src/engine/log-writer.ts', 'if (now - this.#waitingSince >= ms) return true;', '')],
    test: ['test/postgres/capture-faults.test.ts', 'protects a server whose archiver stands still, and an idle one'],
  },
  {
    failure: 14,
    defence: 'A transaction of ours moves the last recovery point on',
    cuts: [cut(`${PG}/server-watch.ts`, 'if (heartbeatMs > 0)', 'if (heartbeatMs < 0)')],
    test: ['test/postgres/capture-faults.test.ts', 'protects a server whose archiver stands still, and an idle one'],
  },
  {
    failure: 15,
    defence: 'A 200 without an ETag is no success',
    cuts: [
      cut(
        'src/store/s3-bucket.ts',
        "if (!answer.ETag) throw new Fault('STORE_STRANGE_ANSWER', `${what}: the store",
        "if (answer.ETag === null) throw new Fault('STORE_STRANGE_ANSWER', `${what}: the store",
      ),
    ],
    test: ['test/store/s3-faults.test.ts', 'a welcome page is not success'],
  },
  {
    failure: 15,
    defence: 'What a listing does not show is asked for by name',
    cuts: [
      cut('src/engine/log-reader.ts', 'known + (await countWhile((n) => has(keyOf(known + n))))', 'known'),
      cut(
        'src/engine/log-reader.ts',
        'if (tail === undefined || (await has(keyOf(sections)))) continue;',
        'if (tail === undefined) continue;',
      ),
    ],
    test: ['test/engine/log-weather.test.ts', 'is whole in a directory'],
  },
  {
    failure: 16,
    defence: 'The length of a segment is what the server says',
    cuts: [
      cut(
        `${PG}/server-facts.ts`,
        'Number(segment?.setting) * (unitBytes ?? Number.NaN)',
        '16 * (unitBytes ?? Number.NaN) * (1024 * 1024 / (unitBytes ?? 1))',
      ),
    ],
    test: ['test/postgres/capture-faults.test.ts', 'goes on late in a long segment'],
  },
  {
    failure: 17,
    defence: 'A time without an offset is refused',
    cuts: [
      cut('src/model/instant-text.ts', '(Z|[+-]\\d\\d(?::?\\d\\d)?)$/i', '(Z|[+-]\\d\\d(?::?\\d\\d)?|)$/i'),
      cut('src/model/instant-text.ts', 'const offset = /^z$/i', 'const offset = /^z?$/i'),
    ],
    test: ['test/postgres/connection.test.ts', 'of moments need an offset'],
  },
  {
    failure: 18,
    defence: 'A wanted time ends before the first later mark in the order of the log',
    cuts: [cut('src/engine/find-time.ts', 'before: later?.position ?? run.to', 'before: run.to')],
    test: ['test/engine/recovery-plan.test.ts', 'stops at the last commit before the first later mark'],
  },
  {
    failure: 18,
    defence: 'A time that the clock has passed more than once is refused, with the places',
    cuts: [cut('src/engine/recovery-plan.ts', 'if (places.length > 1)', 'if (places.length > 9)')],
    test: ['test/engine/clock-steps.test.ts', 'is refused with both places'],
  },
  {
    failure: 18,
    defence: 'Which base is the newer one is told by the log, and not by the clock',
    cuts: [cut('src/engine/recovery-plan.ts', '.sort((a, b) => a.stop - b.stop)', '.sort((a, b) => a.stoppedAt - b.stoppedAt)')],
    test: ['test/engine/clock-steps.test.ts', 'the latest place is behind the gap'],
  },
  {
    failure: 18,
    defence: 'A clock that is set back is noted when its log is captured',
    cuts: [cut('agents/postgres/timeline-capture.ts', 'await this.#keepClockSteps(marks);', '')],
    test: ['test/postgres/clock-steps.test.ts', 'whose clock jumps'],
  },
  {
    failure: 18,
    defence: 'What is searched by halves is the latest time so far, which never falls',
    cuts: [cut('src/engine/log-reader.ts', 'Math.max(max, time), timeBefore);', 'time, timeBefore);')],
    test: ['test/engine/log-clock.test.ts', 'a log of a server whose clock was set back'],
  },
  {
    failure: 19,
    defence: 'A restore holds its base, and the log that it needs',
    cuts: [
      cut(
        'src/cli/pg-restore.ts',
        'restored = await pinned(invocation, repository, cluster.snapshots.get(plan.base.snapshot)!, () =>',
        'restored = await (async (_: unknown, __: unknown, ___: unknown, work: () => Promise<RestoredCluster>) => work())(0, 0, 0, () =>',
      ),
    ],
    test: ['test/cli/pg-keeping.test.ts', 'is restored while its base is forgotten and pruned'],
  },
  {
    failure: 20,
    defence: 'The highest that was seen on the way counts',
    cuts: [cut(`${PG}/recovery-settings.ts`, 'Math.max(floor[name] ?? 0, note.floor[name] ?? 0)', 'floor[name] ?? 0')],
    test: ['test/postgres/recovery-hazards.test.ts', 'raised parameters takes the highest'],
  },
  {
    failure: 21,
    defence: 'The creation of a tablespace is not replayed into production’s own directory',
    cuts: [cut(`${PG}/restore.ts`, 'if (!directory.isRecovering) checkLaterTablespaces(notes);', '')],
    test: ['test/postgres/recovery-faults.test.ts', 'tablespaces, also new ones'],
  },
  {
    failure: 21,
    defence: 'And a new base is made after it',
    cuts: [cut(`${PG}/protect.ts`, 'bases.need(`the tablespace ${tablespace.oid} was created`, signal);', '')],
    test: ['test/postgres/recovery-faults.test.ts', 'tablespaces, also new ones'],
  },
  {
    failure: 22,
    defence: 'Checksums of pages are verified on the way, and a base with a wrong one is none',
    cuts: [cut(`${PG}/local-base.ts`, 'if (broken.length === 0) return;', 'if (broken.length >= 0) return;')],
    test: ['test/postgres/recovery-faults.test.ts', 'a page that is corrupt is not backed up unnoticed'],
  },
  {
    failure: 22,
    defence: 'A base that is known to be damaged stands in for no other',
    cuts: [cut('src/engine/log-retention.ts', 'facts.isSound(base) && ', '')],
    test: ['test/engine/log-trim.test.ts', 'a damaged or a half one stands in for none'],
  },
  {
    failure: 23,
    defence: 'Collations are compared with those of this host',
    cuts: [cut(`${PG}/collations.ts`, 'if (then === now) continue;', 'continue;')],
    test: ['test/postgres/recovery-hazards.test.ts', 'a restored cluster is handed over with a warning for each collation'],
  },
  {
    failure: 23,
    defence: 'Programs of another major version are refused before anything is written',
    cuts: [cut(`${PG}/server-programs.ts`, 'if (found.major !== major)', 'if (found.major < 0)')],
    test: ['test/cli/pg.test.ts', 'refuses before anything is written what cannot be restored'],
  },
  {
    failure: 23,
    defence: 'An upgraded cluster is another one',
    cuts: [cut(`${PG}/base-of-log.ts`, 'if (view.incarnation !== incarnationOf(systemId))', 'if (view === null)')],
    test: ['test/postgres/recovery-faults.test.ts', 'another cluster is refused under the same name'],
  },
  {
    failure: 24,
    defence: 'The second half of a prepared transaction is its commit',
    cuts: [
      cut(
        `${PG}/wal-reader.ts`,
        '[XACT_COMMIT, XACT_ABORT, XACT_COMMIT_PREPARED, XACT_ABORT_PREPARED]',
        '[XACT_COMMIT, XACT_ABORT]',
      ),
    ],
    test: ['test/postgres/recovery-faults.test.ts', 'tablespaces, also new ones, unlogged tables, databases that come and go'],
  },
];
