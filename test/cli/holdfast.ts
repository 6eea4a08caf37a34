// The real command, bin/holdfast, as a process of its own, with a repository, a cache and passphrases in a scratch directory.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, onTestFinished } from 'vitest';
import { scratchDirectory } from '../support/scratch.ts';

export const PROGRAM = resolve(import.meta.dirname, '../../bin/holdfast');
/** Of util-linux: what a program cannot have, root does not get. */
const HELD_TO_MODES = ['setpriv', '--bounding-set=-dac_override,-dac_read_search,-chown', PROGRAM];
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

export type Outcome = {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly bytes: Buffer;
};

export type RunOptions = {
  readonly input?: string | Buffer;
  /** Added to the usual ones; undefined takes one away. */
  readonly variables?: Readonly<Record<string, string | undefined>>;
  /** Root too is refused what modes forbid, and gives nothing to others. */
  readonly isHeldToModes?: boolean;
};

export type Line = Readonly<Record<string, unknown>> & { readonly kind: string };

export class Holdfast {
  readonly directory: string;
  readonly repository: string;
  readonly #variables: Record<string, string | undefined>;

  constructor(directory: string) {
    this.directory = directory;
    this.repository = join(directory, 'repository');
    this.#variables = {
      PATH: process.env.PATH,
      HOME: directory,
      TZ: 'UTC',
      HOLDFAST_REPO: this.repository,
      HOLDFAST_CACHE_DIR: join(directory, 'cache'),
      HOLDFAST_PASSPHRASE_FILE: this.secret('passphrase', 'the passphrase'),
      // Of the program's code: shared by all tests, it spares them seconds.
      NODE_COMPILE_CACHE: join(tmpdir(), 'holdfast-test-code'),
    };
  }

  /** A file with a secret; answers its path. */
  secret(name: string, text: string): string {
    return this.file(`secrets/${name}`, `${text}\n`);
  }

  /** Writes a file below the scratch directory; answers its path. */
  file(name: string, content: string | Uint8Array): string {
    const path = join(this.directory, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    return path;
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  run(args: readonly string[], options: RunOptions = {}): Outcome {
    const isRoot = process.getuid?.() === 0;
    const [program, ...before] = options.isHeldToModes === true && isRoot ? HELD_TO_MODES : [PROGRAM];
    const { status, stdout, stderr } = spawnSync(program!, [...before, ...args], {
      cwd: this.directory,
      env: this.#environment(options),
      input: options.input ?? '',
      maxBuffer: OUTPUT_BYTES_MAX,
    });
    return { status, stdout: stdout.toString(), stderr: stderr.toString(), bytes: stdout };
  }

  /** Must succeed (or end with `status`); answers what it printed. */
  ok(args: readonly string[], options: RunOptions & { readonly status?: number } = {}): string {
    const { status, stdout, stderr } = this.run(args, options);
    if (status !== (options.status ?? 0)) throw new Error(`holdfast ${args.join(' ')} ended with ${status}:\n${stdout}\n${stderr}`);
    return stdout;
  }

  /** With --json: all lines. */
  lines(args: readonly string[], options: RunOptions & { readonly status?: number } = {}): Line[] {
    return linesOf(this.ok([...args, '--json'], options));
  }

  /** With --json: the last line. */
  summary(args: readonly string[], options: RunOptions & { readonly status?: number } = {}): Line {
    return this.lines(args, options).at(-1)!;
  }

  /** Must fail: the code of the fault and the exit status, by the JSON that a script would read. */
  fault(
    args: readonly string[],
    options: RunOptions = {},
  ): { readonly code: unknown; readonly status: number | null; readonly line: Line } {
    const { status, stdout } = this.run([...args, '--json'], options);
    const line = linesOf(stdout).at(-1)!;
    if (line?.kind !== 'error') throw new Error(`holdfast ${args.join(' ')} printed no error: ${stdout}`);
    return { code: line.code, status, line };
  }

  /** Runs on its own. It ends with the test. */
  start(args: readonly string[], options: RunOptions = {}): ChildProcess {
    const child = spawn(PROGRAM, args, { cwd: this.directory, env: this.#environment(options), stdio: ['pipe', 'pipe', 'pipe'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    return child;
  }

  #environment({ variables = {} }: RunOptions): NodeJS.ProcessEnv {
    return Object.fromEntries(Object.entries({ ...this.#variables, ...variables }).filter(([, value]) => value !== undefined));
  }
}

export function linesOf(text: string): Line[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);
}

/** Without a repository. */
export function newHoldfast(): Holdfast {
  return new Holdfast(scratchDirectory());
}

/** With an empty repository. */
export function initialised(): Holdfast {
  const holdfast = newHoldfast();
  holdfast.ok(['init']);
  return holdfast;
}

/** With an empty repository, for all tests of a file: to be called in `beforeAll` or at its top. */
export function sharedByFile(): Holdfast {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-test-'));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  const holdfast = new Holdfast(directory);
  holdfast.ok(['init']);
  return holdfast;
}
