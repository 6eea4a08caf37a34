import { describe, expect, it } from 'vitest';
import { VERBS } from '../../src/cli/verbs.ts';
import { REPOSITORY_VERBS } from '../../src/cli/verbs-repository.ts';
import { newHoldfast } from './holdfast.ts';

const holdfast = () => newHoldfast();

describe('without a verb', () => {
  it('shows an overview of all verbs, and ends with 2 as nothing was done', () => {
    const { status, stdout } = holdfast().run([]);
    expect(status).toBe(2);
    for (const { name } of VERBS) expect(stdout).toContain(`  ${name.split(' ')[0]} `);
  });

  it('shows its version, and help when asked for it', () => {
    const program = holdfast();
    expect(program.ok(['--version'])).toMatch(/^holdfast \d+\.\d+\.\d+\n$/);
    expect(program.ok(['--help'])).toBe(program.ok(['help']));
  });
});

describe('what cannot be meant', () => {
  it.each([
    [['bakup'], 'There is no verb "bakup"', 'Did you mean "holdfast backup"?'],
    [['snapshot'], 'There is no verb "snapshot"', 'Did you mean "holdfast snapshots"?'],
    [['xyzzy'], 'There is no verb "xyzzy"', 'See "holdfast help".'],
    [['backup', '--exlude', 'x', '/'], '--exlude is not an option of "holdfast backup"', 'Did you mean --exclude?'],
    [['snapshots', '-z'], '-z is not an option of "holdfast snapshots"', 'See "holdfast help snapshots".'],
    [['--jsn', 'snapshots'], '--jsn is not an option', 'Did you mean --json?'],
    [['snapshots', '--keep-last', '1'], '--keep-last is not an option of "holdfast snapshots"', ''],
    [['--keep-last', '1', 'snapshots'], '--keep-last is not an option of "holdfast snapshots"', ''],
    [['snapshots', 'more'], '"holdfast snapshots" takes no arguments; "more" is one too many', ''],
    [['backup'], '"holdfast backup" needs PATH', ''],
    [['backup', ''], 'Argument 1 of "holdfast backup" is empty', ''],
    [['restore'], '"holdfast restore" needs SNAPSHOT', ''],
    [
      ['agent', '--enroll', 'hf_x', '--service', 'http://127.0.0.1:1', '--allow-restore', '/srv'],
      '--allow-restore is said at each start, not with --enroll',
      'Give it to the agent that runs.',
    ],
    [
      ['serve', '--no-local-agent', '--allow-restore', '/srv'],
      '--allow-restore is for the local agent, and --no-local-agent says that there is none',
      '',
    ],
    [['serve', '--drill-dir', '/srv'], '--drill-dir is for an agent with a site', 'Name its configuration with --site-config.'],
    [['agent', '--label', 'web1'], '--label is said once, with --enroll', 'Leave it away: the home knows it.'],
    [['restore', 'latest'], '"holdfast restore" needs --target PATH (or --stdout)', ''],
    [['restore', 'latest', '--target'], '--target needs a value: PATH', ''],
    [['restore', 'latest', '--target='], '--target must be not empty', ''],
    [['restore', 'latest', '-t', 'a', '--stdout'], '--stdout and --target are two targets', ''],
    [['restore', 'latest', '--stdout', '--verify'], '--delta and --verify do not go with standard output', ''],
    [['snapshots', '--json=yes'], '--json takes no value', ''],
    [['snapshots', '--repo', 'a', '--repo', 'b'], '--repo was given twice', ''],
    [['forget', '--keep-last', 'many'], '--keep-last must be a whole number from 0 on; "many" is not', ''],
    [['forget', '--keep-last', '-1'], '--keep-last must be a whole number from 0 on; "-1" is not', ''],
    [['backup', '/', '--upload-limit', 'fast'], '--upload-limit must be a number of bytes', ''],
    [['backup', '/', '--type', 'tape'], '--type must be one of files, volume, stream; "tape" is not', ''],
    [['backup', '/', '--threads', '0'], '--threads must be a whole number from 1 on', ''],
    [['backup', '/', '--compression', 'best'], '--compression must be fast, default, better, or a level', ''],
    [['backup', '/', '--compression', '20'], '--compression must be fast, default, better, or a level', ''],
    [['backup', '-', '/etc'], '"-" (standard input) is backed up alone', ''],
    [['backup', '/etc', '--name', 'x'], '--name is for a backup of a stream; this is one of files', ''],
    [['backup', '-', '--exclude', 'x'], '--exclude is for a backup of files; this is one of a stream', ''],
    [['backup', '--type', 'volume', 'a', 'b'], 'A volume is backed up alone, and 2 paths were given', ''],
    [['forget'], 'Say which snapshots to keep', ''],
    [['forget', 'latest', '--keep-last', '1'], 'Snapshots are forgotten by name or by rules, not by both', ''],
    [['forget', '--keep-within', 'long'], '--keep-within must be a time such as 36h', ''],
    [['forget', 'latest', '--max-unused', '5%'], '--max-unused and --revoke-after are for "forget --prune"', ''],
    [['forget', 'latest', '--prune', '--max-unused', '200%'], '--max-unused must be a share', ''],
    [['prune', '--max-unused', '200%'], '--max-unused must be a share', ''],
    [['verify', '--full', '--sample', '5%'], '--full and --sample are two depths', ''],
    [['key'], '"key" needs one more word', 'key add'],
    [['key', 'ad'], 'There is no verb "key ad"', 'Did you mean "holdfast key add"?'],
    [['key', 'add', '--role', 'writer'], "A writer's key writes one asset", ''],
    [['key', 'add', '--asset', 'x'], "An owner's key opens every asset", ''],
    [['copy'], '"holdfast copy" needs --to LOCATION', ''],
    [['completion', 'tcsh'], 'SHELL must be one of bash, zsh, fish; "tcsh" is not', ''],
    [['help', 'bakup'], 'There is no verb "bakup"', 'Did you mean "holdfast help backup"?'],
  ])('%j is refused with 2 before anything is touched', (args, message, hint) => {
    const program = holdfast();
    const { status, stdout, stderr } = program.run(args);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain(`holdfast: ${message}`);
    expect(stderr).toContain(hint);
    expect(stderr).toContain('[USAGE]');
  });

  it('is one JSON line for a program', () => {
    const { code, status, line } = holdfast().fault(['bakup']);
    expect({ code, status }).toEqual({ code: 'USAGE', status: 2 });
    expect(Object.keys(line).sort()).toEqual(['code', 'exit', 'hint', 'kind', 'message', 'retry']);
  });
});

describe('options', () => {
  it('may stand before the verb, after "=", together as letters, and end with "--"', () => {
    const program = holdfast();
    program.ok(['init']);
    program.file('--odd', 'content');
    expect(program.ok(['--repo', program.repository, 'backup', '--tag=a', '-qx', '--tag', 'b', '--', '--odd'])).toContain(
      'Files: 1',
    );
    expect(program.lines(['snapshots'])[0]).toMatchObject({ tags: ['a', 'b'] });
  });
});

describe('help', () => {
  it.each(VERBS.map(({ name }) => name))('of "%s" shows usage, every option and an example', (name) => {
    const program = holdfast();
    const verb = VERBS.find((one) => one.name === name)!;
    const text = program.ok(['help', ...name.split(' ')]);
    expect(text).toMatch(new RegExp(`^Usage: holdfast ${name}`));
    for (const option of verb.options) expect(text).toContain(`--${option.name}`);
    expect(verb.examples.length).toBeGreaterThan(0);
    expect(text).toContain(verb.examples[0]![0]);
  });

  it('is also what --help shows', () => {
    const program = holdfast();
    expect(program.ok(['key', 'add', '--help'])).toBe(program.ok(['help', 'key', 'add']));
    expect(program.ok(['key', '--help'])).toBe(program.ok(['help', 'key']));
  });

  it('and the version are records where records are asked for', () => {
    const program = holdfast();
    const version = program.ok(['--version']).trim();
    for (const argv of [
      ['--json', 'version'],
      ['version', '--json'],
      ['--version', '--json'],
    ])
      expect(JSON.parse(program.ok(argv))).toEqual({ kind: 'version', text: version });
    expect(JSON.parse(program.ok(['--json', '--help']))).toMatchObject({ kind: 'help' });
  });

  it('names no secret in any example', () => {
    for (const { examples } of VERBS)
      for (const [command] of examples) expect(command).not.toMatch(/PASSPHRASE=|SECRET|--passphrase[ =]/);
  });

  it('is no longer than a terminal is wide', () => {
    for (const line of holdfast().ok(['help', 'backup']).split('\n')) expect(line.length).toBeLessThanOrEqual(100);
  });
});

describe('a directory of its own that a program cannot make', () => {
  it.each([['serve'], ['agent', '--enroll', 'token', '--service', 'http://127.0.0.1:1']])('is named by "%s"', (...argv) => {
    expect(holdfast().fault([...argv, '--home', '/proc/holdfast'])).toMatchObject({ code: 'HOME_DENIED', status: 1 });
  });
});

describe('the table of verbs', () => {
  it('has verbs of the repository that are told from all others by their first word', () => {
    for (const { name } of REPOSITORY_VERBS)
      expect(VERBS.filter((verb) => verb.name.split(' ')[0] === name).map((verb) => verb.name)).toEqual([name]);
  });

  it('has no option twice in a verb, and none of letters that mean two things', () => {
    for (const { name, options } of VERBS) {
      const names = options.map((option) => option.name);
      expect(new Set(names).size, name).toBe(names.length);
      const shorts = options.map((option) => option.short).filter((short) => short !== undefined);
      expect(new Set(shorts).size, name).toBe(shorts.length);
      for (const short of shorts) expect(['q', 'v', 'h'], name).not.toContain(short);
    }
  });

  it('gives an option of one name one meaning: a value or none', () => {
    const kinds = new Map<string, boolean>();
    for (const { options } of VERBS) {
      for (const { name, kind } of options) {
        expect(kinds.get(name) ?? kind === 'flag', name).toBe(kind === 'flag');
        kinds.set(name, kind === 'flag');
      }
    }
  });
});
