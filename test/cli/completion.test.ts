import { spawnSync } from 'node:child_process';
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
