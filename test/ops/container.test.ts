// What the image holds is enough for the service: the files that the Containerfile copies, put together here and started as it starts them.

import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CHECKOUT } from '../architecture/source-files.ts';
import { scratchDirectory } from '../support/scratch.ts';

const INSTRUCTIONS = ['FROM', 'WORKDIR', 'COPY', 'RUN', 'USER', 'ENV', 'VOLUME', 'EXPOSE', 'HEALTHCHECK', 'ENTRYPOINT', 'CMD'];

/** Instruction and the rest of its line, continued lines joined. */
function instructions(): readonly (readonly [string, string])[] {
  const text = readFileSync(join(CHECKOUT, 'ops/Containerfile'), 'utf8')
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n/g, ' ');
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, name = '', rest = ''] = /^(\S+)\s+(.*)$/.exec(line) ?? [];
      return [name, rest] as const;
    });
}

const wordsOf = (name: string): string[] => JSON.parse(instructions().findLast(([one]) => one === name)![1]) as string[];

describe('the Containerfile', () => {
  it('says only what a builder knows, of files that there are', () => {
    for (const [name, rest] of instructions()) {
      expect(INSTRUCTIONS, rest).toContain(name);
      if (name !== 'COPY' || rest.startsWith('--from=')) continue;
      for (const path of rest.split(/\s+/).slice(0, -1)) expect(existsSync(join(CHECKOUT, path)), path).toBe(true);
    }
    expect(instructions()[0]![0]).toBe('FROM');
  });

  it('copies all that the service needs to start, be healthy and stop', async () => {
    const image = scratchDirectory();
    const stage = instructions().slice(instructions().findLastIndex(([name]) => name === 'FROM'));
    for (const [name, rest] of stage) {
      if (name !== 'COPY') continue;
      const words = rest.split(/\s+/).filter((word) => !word.startsWith('--'));
      const to = words.pop()!;
      for (const from of words) {
        const path = from.replace('/opt/holdfast/', '');
        const target = join(image, to === './' ? path : to);
        mkdirSync(dirname(target), { recursive: true });
        if (path === 'node_modules') symlinkSync(join(CHECKOUT, path), target);
        else cpSync(join(CHECKOUT, path), target, { recursive: true, verbatimSymlinks: true });
      }
    }
    const home = join(scratchDirectory(), 'home');
    const env = { PATH: process.env['PATH'], HOME: home, HOLDFAST_HOME: home, HOLDFAST_CACHE_DIR: join(home, 'cache') };
    const command = [...wordsOf('ENTRYPOINT'), ...wordsOf('CMD'), '--listen', '127.0.0.1:0', '--json'];
    const service = spawn(join(image, command[0]!), command.slice(1), { cwd: image, env, stdio: ['ignore', 'pipe', 'ignore'] });
    onTestFinished(() => void service.kill('SIGKILL'));
    let url = '';
    for await (const line of createInterface({ input: service.stdout })) {
      const said = JSON.parse(line) as { kind: string; url?: string };
      if (said.url === undefined) continue;
      url = said.url;
      break;
    }
    const [, check] = instructions().find(([name]) => name === 'HEALTHCHECK')!;
    const probe = JSON.parse(check.slice(check.indexOf('['))) as string[];
    const script = probe[2]!.replace('http://127.0.0.1:8480', url);
    expect(spawnSync(join(image, probe[0]!), [probe[1]!, script], { cwd: image, env }).status).toBe(0);
    const ended = new Promise((resolve) => service.once('exit', resolve));
    service.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(spawnSync(join(image, probe[0]!), [probe[1]!, script], { cwd: image, env }).status).toBe(1);
  });
});
