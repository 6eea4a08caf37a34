// At a terminal: the prompt for a passphrase, and the progress line. `script` (bsdutils, in every Debian) makes the terminal.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { seededBytes } from '../support/seeded-random.ts';
import { type Holdfast, initialised, newHoldfast } from './holdfast.ts';

/** What takes a line away. */
const ERASE = '\r\x1b[2K';
const PROGRAM = resolve(import.meta.dirname, '../../bin/holdfast');

class Terminal {
  readonly #child: ChildProcess;
  #seen = '';
  #from = 0;
  #wake: () => void = () => {};
  readonly #exited: Promise<number | null>;

  constructor(holdfast: Holdfast, args: readonly string[], variables: Readonly<Record<string, string>> = {}) {
    const command = ['"$PROGRAM"', ...args.map((arg) => `'${arg}'`)].join(' ');
    const env = {
      PATH: process.env.PATH,
      HOME: holdfast.directory,
      PROGRAM,
      HOLDFAST_REPO: holdfast.repository,
      HOLDFAST_CACHE_DIR: holdfast.path('cache'),
      COLUMNS: '100',
      ...variables,
    };
    this.#child = spawn('script', ['-qec', command, '/dev/null'], {
      env,
      cwd: holdfast.directory,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    onTestFinished(() => void this.#child.kill('SIGKILL'));
    this.#exited = new Promise((done) => this.#child.on('close', (status) => done(status)));
    this.#child.stdout!.on('data', (data) => {
      this.#seen += data;
      this.#wake();
    });
  }

  get seen(): string {
    return this.#seen;
  }

  /** Resolves when `text` has appeared since the last time. */
  async sees(text: string): Promise<void> {
    while (!this.#seen.includes(text, this.#from)) {
      await new Promise<void>((wake) => {
        this.#wake = wake;
      });
    }
    this.#from = this.#seen.indexOf(text, this.#from) + text.length;
  }

  type(text: string): void {
    this.#child.stdin!.write(text);
  }

  exit(): Promise<number | null> {
    return this.#exited;
  }
}

const hasScript = spawnSync('script', ['--version']).error === undefined;
if (!hasScript && process.env.CI === 'true') throw new Error('tests at a terminal need the program "script" (bsdutils)');
if (!hasScript) console.log('SKIPPED: tests at a terminal need the program "script" (bsdutils)');

describe.runIf(hasScript)('the prompt', () => {
  it('asks for the passphrase and does not show it', async () => {
    const holdfast = initialised();
    const terminal = new Terminal(holdfast, ['snapshots']);
    await terminal.sees('Passphrase of the repository: ');
    terminal.type('the passphrasf\x7fe\r');
    expect(await terminal.exit()).toBe(0);
    expect(terminal.seen).not.toContain('the pass');
    expect(terminal.seen).toContain('No snapshots');
  });

  it('asks twice for a new one, and wants the same', async () => {
    const holdfast = newHoldfast();
    const terminal = new Terminal(holdfast, ['init']);
    await terminal.sees('Passphrase of the repository: ');
    terminal.type('one\r');
    await terminal.sees('Once more: ');
    terminal.type('two\r');
    expect(await terminal.exit()).toBe(2);
    expect(terminal.seen).toContain('The two passphrases differ');
    const again = new Terminal(holdfast, ['init']);
    await again.sees('Passphrase of the repository: ');
    again.type('one\r');
    await again.sees('Once more: ');
    again.type('one\r');
    expect(await again.exit()).toBe(0);
    expect(holdfast.run(['snapshots'], { variables: { HOLDFAST_PASSPHRASE_FILE: holdfast.secret('one', 'one') } }).status).toBe(0);
  });

  it('can be left with Ctrl-C', async () => {
    const terminal = new Terminal(initialised(), ['snapshots']);
    await terminal.sees('Passphrase of the repository: ');
    terminal.type('half\x03');
    expect(await terminal.exit()).toBe(130);
  });
});

describe.runIf(hasScript)('the progress line', () => {
  it('shows bytes, a rate and dedup figures, and is gone at the end', async () => {
    const holdfast = initialised();
    for (let n = 0; n < 10; n++) holdfast.file(`tree/f${n}`, seededBytes(4 * 1024 * 1024, n));
    const terminal = new Terminal(holdfast, ['backup', 'tree', '--upload-limit', '20MiB'], {
      HOLDFAST_PASSPHRASE_FILE: holdfast.path('secrets/passphrase'),
    });
    await terminal.sees('40.0 MiB / 40.0 MiB  100%  ');
    expect(await terminal.exit()).toBe(0);
    const lines = terminal.seen.split(ERASE);
    expect(lines.filter((line) => /iB\/s .*files .*read .*stored /.test(line)).length).toBeGreaterThan(2);
    expect(lines.at(-1)).toMatch(/^Snapshot [0-9a-f]{8} of /);
  });

  it('is not there with --no-progress', async () => {
    const holdfast = initialised();
    holdfast.file('tree/f', 'x');
    const terminal = new Terminal(holdfast, ['backup', 'tree', '--no-progress'], {
      HOLDFAST_PASSPHRASE_FILE: holdfast.path('secrets/passphrase'),
    });
    expect(await terminal.exit()).toBe(0);
    expect(terminal.seen).not.toContain(ERASE);
  });
});
