import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Hooks, runHooks } from '../../../agents/host/hooks.ts';
import { scratchDirectory } from '../../support/scratch.ts';

function script(directory: string, name: string, text: string, mode = 0o755): string {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, name);
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, mode);
  return path;
}

type Command = Hooks['commands'][number];
const command = (argv: readonly string[], details: Partial<Command> = {}): Command => ({
  command: [...argv],
  timeoutMs: 60_000,
  onFailure: 'fail',
  ...details,
});
const run = (commands: readonly Command[], allowed: readonly string[], signal?: AbortSignal): Promise<readonly string[]> =>
  runHooks({
    commands,
    allowed,
    variables: { HOLDFAST_ASSET: 'web/etc' },
    onGroup: () => {},
    ...(signal === undefined ? {} : { signal }),
  });

describe('a hook', () => {
  it('gets its arguments as they are: no shell looks at them', async () => {
    const directory = scratchDirectory();
    const program = script(directory, 'note', 'printf "%s\\n" "$HOLDFAST_ASSET" "$@" > "$1"');
    const file = join(directory, 'said');
    const hostile = `$(touch ${join(directory, 'pwned')}); \`id\` && rm -rf "x" 'y' *`;
    expect(await run([command([program, file, hostile])], [directory])).toEqual([]);
    expect(readFileSync(file, 'utf8')).toBe(`web/etc\n${file}\n${hostile}\n`);
    expect(existsSync(join(directory, 'pwned'))).toBe(false);
  });

  it('sees nothing of the environment of the agent', async () => {
    const directory = scratchDirectory();
    const file = join(directory, 'environment');
    const program = script(directory, 'env', `env > ${file}`);
    process.env.HOLDFAST_SECRET_OF_TEST = 'secret';
    try {
      await run([command([program])], [directory]);
    } finally {
      delete process.env.HOLDFAST_SECRET_OF_TEST;
    }
    expect(readFileSync(file, 'utf8')).not.toContain('secret');
  });

  it('is refused outside of what was allowed, by links too, and when others may change it', async () => {
    const directory = scratchDirectory();
    const [allowed, other] = [join(directory, 'allowed'), join(directory, 'other')];
    const stranger = script(other, 'stranger', `touch ${join(directory, 'ran')}`);
    const open = script(allowed, 'open', `touch ${join(directory, 'ran')}`, 0o777);
    const good = script(allowed, 'good', `touch ${join(directory, 'ran')}`);
    symlinkSync(stranger, join(allowed, 'link'));
    const denied = [stranger, open, join(allowed, 'link'), join(allowed, '../other/stranger'), join(allowed, 'none'), 'good'];
    // The good one comes first, and does not run either.
    for (const program of denied)
      await expect(run([command([good]), command([program])], [allowed])).rejects.toMatchObject({ code: 'AGENT_HOOK_DENIED' });
    await expect(run([command([good])], [])).rejects.toMatchObject({ code: 'AGENT_HOOK_DENIED' });
    expect(existsSync(join(directory, 'ran'))).toBe(false);
  });

  it('that fails is told with what it said, or is a warning where the policy says so', async () => {
    const directory = scratchDirectory();
    const program = script(directory, 'fails', 'echo "no such database" >&2; exit 7');
    const failed = { code: 'AGENT_HOOK_FAILED', message: expect.stringContaining('ended with status 7: no such database') };
    await expect(run([command([program])], [directory])).rejects.toMatchObject(failed);
    const warnings = await run([command([program], { onFailure: 'warn' })], [directory]);
    expect(warnings).toEqual([expect.stringContaining('no such database')]);
  });

  it('that takes too long is ended with everything that it started, as is one that is canceled', async () => {
    const directory = scratchDirectory();
    const file = join(directory, 'child');
    const program = script(directory, 'hangs', `sleep 1000 & echo $! > ${file}.new; mv ${file}.new ${file}; wait`);
    const isAlive = (): boolean => existsSync(`/proc/${readFileSync(file, 'utf8').trim()}`);
    const late = run([command([program], { timeoutMs: 500 })], [directory]);
    await expect(late).rejects.toMatchObject({ message: expect.stringContaining('took longer than 500 ms') });
    while (isAlive()) await new Promise((resolve) => setTimeout(resolve, 5));
    const stop = new AbortController();
    writeFileSync(file, '');
    const canceled = run([command([program])], [directory], stop.signal);
    const refused = expect(canceled).rejects.toThrow('stop');
    while (readFileSync(file, 'utf8') === '') await new Promise((resolve) => setTimeout(resolve, 5));
    stop.abort(new Error('stop'));
    await refused;
    while (isAlive()) await new Promise((resolve) => setTimeout(resolve, 5));
  });
});
