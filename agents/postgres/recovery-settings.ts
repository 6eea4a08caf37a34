// What a restored data directory is told before it starts: where its log comes from, where to stop, and nothing of what production's own
// configuration said about recovery and archiving. Pure.

import { dirname, join } from 'node:path';
import type { LogMark } from '../../src/model/log-mark.ts';
import { formatLsn } from '../../src/model/lsn.ts';
import { ABSENT, FETCH_LOG, NOBODY } from './fetch-log.ts';
import { FLOOR_PARAMETERS } from './server-facts.ts';
import type { LogNote } from './wal-reader.ts';

const BEGIN = '# Holdfast: recovery (removed when it is over)';
const END = '# Holdfast: end';
/** Marks the line by which a server starts only with the token of its gate (agents/gate/token-file.ts). */
export const GATE_MARK = '# holdfast start gate';
/** Of another server's recovery, or that would lead to where production's files are. */
const INHERITED =
  /^\s*(data_directory|external_pid_file|recovery_target\w*|restore_command|recovery_end_command|archive_cleanup_command|promote_trigger_file|primary_conninfo|primary_slot_name|archive_mode|archive_command|archive_library|synchronous_standby_names)\b/i;

export type RecoverySettings = {
  readonly restoreCommand: string;
  readonly stopAt: LogMark | undefined;
  readonly timeline: number;
  readonly action: 'promote' | 'pause';
  readonly floor: Readonly<Record<string, number>>;
};

/** The content of postgresql.auto.conf, with the recovery's settings at its end. */
export function withRecovery(text: string, settings: RecoverySettings): string {
  const { restoreCommand, stopAt, timeline, action, floor } = settings;
  const lines: string[] = [`restore_command = ${configLiteral(restoreCommand)}`, `recovery_target_timeline = '${timeline}'`];
  if (stopAt === undefined) lines.push("recovery_target = 'immediate'");
  else lines.push(`recovery_target_lsn = '${formatLsn(stopAt.position)}'`, 'recovery_target_inclusive = on');
  lines.push(`recovery_target_action = '${action}'`, 'hot_standby = on', 'archive_mode = off', "archive_command = ''");
  // Whatever the server has set to wait for would never answer.
  lines.push("primary_conninfo = ''", "synchronous_standby_names = ''", 'recovery_min_apply_delay = 0');
  return withOwn(text, [...lines, ...floorLines(floor)]);
}

/** The content of postgresql.auto.conf with these lines at its end, until `withoutRecovery`. */
export function withOwn(text: string, lines: readonly string[]): string {
  return `${withoutRecovery(text)}${BEGIN}\n${lines.join('\n')}\n${END}\n`;
}

/** `value` in a configuration file, where a backslash means something, too. */
export function configLiteral(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}

/** A hot standby needs at least these. */
export function floorLines(floor: Readonly<Record<string, number>>): string[] {
  return FLOOR_PARAMETERS.flatMap((name) => ((floor[name] ?? 0) > 0 ? [`${name} = ${floor[name]}`] : []));
}

/** Without our settings, and with production's about recovery and archiving commented out. */
export function withoutRecovery(text: string): string {
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  const own = begin === -1 || end < begin ? text : text.slice(0, begin) + text.slice(end + END.length).replace(/^\n/, '');
  const lines = own
    .split('\n')
    .map((line) => (INHERITED.test(line) ? `# ${line} # Holdfast: not taken over by the restored copy` : line));
  const joined = lines.join('\n');
  return joined === '' || joined.endsWith('\n') ? joined : `${joined}\n`;
}

/** postgresql.conf of a copy that starts by itself: the gate and its token are the original's. */
export function withoutGate(text: string): string {
  return text
    .split('\n')
    .filter((line) => !line.endsWith(GATE_MARK))
    .join('\n');
}

/** postgresql.conf without what it includes from places that are not here: a server refuses to start then. `isHere` is asked for paths as they are
 *  written. */
export function withoutAbsent(text: string, kept: string, isHere: (path: string) => boolean): string {
  const include = /^\s*include(?:_dir)?\s*=?\s*'([^']*)'/i;
  return text
    .split('\n')
    .map((line) => {
      const path = include.exec(line)?.[1];
      return path === undefined || isHere(path) ? line : `# ${line} # Holdfast: not on this host; see ${kept}`;
    })
    .join('\n');
}

/** The highest of what the server had at the base backup and what its log says it was changed to. */
export function raisedFloor(base: Readonly<Record<string, number>>, notes: readonly LogNote[]): Record<string, number> {
  const floor: Record<string, number> = { ...base };
  for (const note of notes)
    if ('floor' in note) for (const name of FLOOR_PARAMETERS) floor[name] = Math.max(floor[name] ?? 0, note.floor[name] ?? 0);
  return floor;
}

/** `value` in a command that sh reads. */
export function shellWord(value: string): string {
  return `'${value.replaceAll("'", "'\\''")}'`;
}

/** What the server runs for each file: it takes what lies ready, else asks whoever hands the log out, and when nobody does, the whole program. Only 77
 *  means "proven absent" (1 to the server); whatever else goes wrong, a crash of a helper included, is 255: the server stops and nothing is lost. */
export function restoreCommandOf(program: readonly string[], planFile: string, spool: string, asking = FETCH_LOG): string {
  const word = (text: string): string => shellWord(text).replaceAll('%', '%%');
  const ready = `f=${word(spool)}/"%f"; if [ -f "$f" ]; then mv -- "$f" "%p" && exit 0; exit 255; fi`;
  // Beside the plan, where the server's user may write: compiled once.
  const first = `NODE_COMPILE_CACHE=${word(join(dirname(planFile), 'code'))} ${[...asking, planFile].map(word).join(' ')} $PPID "%f" "%p"`;
  const helper = `${[...program, 'pg', 'fetch-wal', '--plan', planFile].map(word).join(' ')} "%f" "%p"`;
  const status = `if [ $rc -eq 0 ]; then exit 0; elif [ $rc -eq ${ABSENT} ]; then exit 1; else exit 255; fi`;
  return `${ready}; ${first}; rc=$?; if [ $rc -eq ${NOBODY} ]; then ${helper}; rc=$?; fi; ${status}`;
}
