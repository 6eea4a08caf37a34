import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { VERBS } from '../../src/cli/verbs.ts';
import { newHoldfast } from './holdfast.ts';

/** What bash would offer at the end of `words`. */
function offered(script: string, words: readonly string[]): string[] {
  const program = `compopt() { :; }
${script}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; COMPREPLY=()
_holdfast; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync('bash', ['--norc', '-c', program], { encoding: 'utf8', cwd: '/' });
  expect(status, stderr).toBe(0);
  return stdout.split('\n').filter((line) => line !== '');
}

describe('completion for bash', () => {
  it('knows verbs, second words, options, choices and paths', () => {
    const script = newHoldfast().ok(['completion', 'bash']);
    expect(offered(script, ['holdfast', '']).sort()).toEqual([...new Set(VERBS.map(({ name }) => name.split(' ')[0]!))].sort());
    expect(offered(script, ['holdfast', 'sn'])).toEqual(['snapshots']);
    expect(offered(script, ['holdfast', 'key', 'r'])).toEqual(['remove', 'rotate']);
    expect(offered(script, ['holdfast', 'backup', '--exclude-'])).toEqual(['--exclude-file', '--exclude-caches']);
    expect(offered(script, ['holdfast', 'key', 'rotate', '--dr'])).toEqual(['--drop-other-owners', '--dry-run']);
    expect(offered(script, ['holdfast', 'backup', '--type', ''])).toContain('volume');
    expect(offered(script, ['holdfast', 'backup', '--tag', ''])).toEqual([]);
    expect(offered(script, ['holdfast', 'backup', '/et'])).toEqual(['/et'.concat('c')]);
    expect(offered(script, ['holdfast', 'restore', 'latest', '--target', '/et'])).toEqual(['/etc']);
    expect(offered(script, ['holdfast', 'restore', 'la'])).toEqual(['latest']);
    expect(offered(script, ['holdfast', 'completion', ''])).toEqual(['bash', 'zsh', 'fish']);
    expect(offered(script, ['holdfast', '--json', 'prune', '--max'])).toEqual(['--max-unused']);
    expect(offered(script, ['holdfast', '--repo', 'key', 'sn'])).toEqual(['snapshots']);
    expect(offered(script, ['holdfast', '-r', '/et'])).toEqual(['/etc']);
  });
});

const has = (shell: string): boolean => spawnSync(shell, ['--version']).error === undefined;
for (const shell of ['zsh', 'fish'])
  if (!has(shell)) console.log(`SKIPPED, completion tried in ${shell} itself: it is not installed`);

describe.skipIf(!has('fish'))('completion for fish', () => {
  it('tells a verb from the word of another, from an argument, and from the value of an option', () => {
    const holdfast = newHoldfast();
    const script = join(holdfast.directory, 'holdfast.fish');
    writeFileSync(script, holdfast.ok(['completion', 'fish']));
    const fish = (line: string): string[] =>
      spawnSync('fish', ['--no-config', '-c', `source ${script}; complete -C '${line}'`], { encoding: 'utf8', cwd: '/' })
        .stdout.split('\n')
        .filter((found) => found !== '')
        .map((found) => found.split('\t')[0]!);
    expect(fish('holdfast sn')).toEqual(['snapshots']);
    expect(fish('holdfast key r')).toEqual(['remove', 'rotate']);
    expect(fish('holdfast pg restore --pa')).toEqual(['--passphrase-file', '--pause']);
    expect(fish('holdfast restore latest --pa')).toEqual(['--passphrase-file', '--path']);
    expect(fish('holdfast --json -r key prune --max')).toEqual(['--max-unused']);
    expect(fish('holdfast backup key ro')).toEqual(['root/']);
    expect(fish('holdfast restore latest --target /et')).toEqual(['/etc/']);
  });
});

describe.skipIf(!has('zsh'))('completion for zsh', () => {
  /** What it asks zsh's own functions for at the end of `words`. */
  const asked = (load: string, words: readonly string[]): string => {
    const { stdout, stderr, status } = spawnSync(
      'zsh',
      [
        '-f',
        '-c',
        `_arguments() { print -rl -- arguments "$@" }; _describe() { print -rl -- describe $verbs $seconds }; _files() { print files }; compdef() { : }
${load}
words=(${words.map((word) => `'${word}'`).join(' ')}); CURRENT=${words.length}; _holdfast`,
      ],
      { encoding: 'utf8', cwd: '/' },
    );
    expect(status, stderr).toBe(0);
    return stdout;
  };

  it('answers the first question also where it is loaded from a directory of $fpath', () => {
    const holdfast = newHoldfast();
    writeFileSync(join(holdfast.directory, '_holdfast'), holdfast.ok(['completion', 'zsh']));
    for (const load of [`fpath=('${holdfast.directory}'); autoload -U _holdfast`, `source '${holdfast.directory}/_holdfast'`]) {
      expect(asked(load, ['holdfast', 'key', ''])).toContain('describe\nlist:');
      expect(asked(load, ['holdfast', '--json', '-r', 'key', 'sn'])).toContain('snapshots:');
      expect(asked(load, ['holdfast', '--repo', '/et'])).toBe('files\n');
      expect(asked(load, ['holdfast', '--json', 'prune', '--max'])).toMatch(/^arguments\n(?:.*\n)*--max-unused=\[/);
      expect(asked(load, ['holdfast', 'find', 'notes.txt', '--a'])).toMatch(/\n\*:\w+: \n$/);
    }
  });
});

describe.each(['zsh', 'fish'])('completion for %s', (shell) => {
  it('names every verb and option', () => {
    const script = newHoldfast().ok(['completion', shell]);
    for (const { name, options } of VERBS) {
      for (const word of name.split(' ')) expect(script).toContain(word);
      for (const option of options) expect(script, option.name).toMatch(new RegExp(`(?:--|-l )${option.name}\\b`));
    }
  });

  it('is a script that the shell can read, where there is one', () => {
    const script = newHoldfast().ok(['completion', shell]);
    const { error, status, stderr } = spawnSync(shell, ['-n'], { input: script, encoding: 'utf8' });
    if (error === undefined) expect(status, stderr).toBe(0);
    // Without the shell at least its quotes must be even.
    expect((script.replace(/\\'|'\\''/g, '').match(/'/g) ?? []).length % 2).toBe(0);
  });
});
