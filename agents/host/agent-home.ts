// What an agent keeps on its host, in a directory of its own (0700): who it is, its key (0600), what it holds. Files are exchanged whole and
// made durable before they count. One process at a time: a lock names it.

import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { linkSync, readdirSync, readFileSync, rmSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import { makeHome } from '../../src/base/make-directory.ts';
import { isAlive, ownIdentity, type ProcessIdentity } from '../../src/base/process-identity.ts';
import { replaceFile } from '../../src/base/replace-file.ts';

const FORMAT = 1;

export type AgentState = {
  readonly agentId: string;
  readonly tenantId: string;
  readonly label: string;
  /** http(s)://host:port, and a path when a proxy has one before the service. */
  readonly service: string;
  /** Of the authority of the service's certificate. */
  readonly caFile?: string;
};

/** A run that this agent claimed and whose end is not acknowledged yet. `end`: what is to be said. */
export type KeptRun = { readonly runId: string; readonly fence: number; readonly end?: Readonly<Record<string, unknown>> };

export class AgentHome {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  /** Makes what is missing. */
  prepare(): void {
    for (const name of ['', 'runs', 'restores', 'hooks', 'secrets', 'cache', 'plans', 'evidence'])
      makeHome(join(this.directory, name), 0o700);
  }

  get restores(): string {
    return join(this.directory, 'restores');
  }

  /** Passwords of servers, each in a file that an asset names. */
  get secrets(): string {
    return join(this.directory, 'secrets');
  }

  get hooks(): string {
    return join(this.directory, 'hooks');
  }

  /** Plans that are being carried out. */
  get plans(): string {
    return join(this.directory, 'plans');
  }

  /** Of drills on this host. */
  get evidence(): string {
    return join(this.directory, 'evidence');
  }

  get cache(): string {
    return join(this.directory, 'cache');
  }

  /** Undefined when nobody was enrolled here. AGENT_HOME_DAMAGED. */
  readState(): AgentState | undefined {
    const text = this.#read('agent.json');
    if (text === undefined) return undefined;
    const { format, agentId, tenantId, label, service, caFile } = this.#parse('agent.json', text);
    if (format !== FORMAT || typeof agentId !== 'string' || typeof tenantId !== 'string' || typeof service !== 'string')
      throw this.#damaged('agent.json');
    return { agentId, tenantId, label: String(label), service, ...(typeof caFile === 'string' ? { caFile } : {}) };
  }

  writeState(state: AgentState): void {
    this.#write('agent.json', `${JSON.stringify({ format: FORMAT, ...state }, undefined, 2)}\n`);
  }

  /** AGENT_HOME_DAMAGED when there is none, or one that is no key. */
  readKey(): KeyObject {
    const text = this.#read('identity.key');
    try {
      if (text !== undefined) return createPrivateKey(text);
    } catch {
      // As if it were not there.
    }
    throw this.#damaged('identity.key');
  }

  /** A fresh key pair; its private half stays here. Answers the public one: 32 bytes, base64url. */
  makeKey(): string {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    this.#write('identity.key', privateKey.export({ type: 'pkcs8', format: 'pem' }) as string);
    return publicKey.export({ format: 'jwk' }).x!;
  }

  keepRun(run: KeptRun): void {
    this.#write(join('runs', `${run.runId}.json`), JSON.stringify(run));
  }

  dropRun(runId: string): void {
    rmSync(join(this.directory, 'runs', `${runId}.json`), { force: true });
  }

  /** What is damaged is left away: its lease ends by itself. */
  keptRuns(): readonly KeptRun[] {
    const names = readdirSync(join(this.directory, 'runs')).filter((name) => name.endsWith('.json'));
    return names.flatMap((name): KeptRun[] => {
      try {
        const { runId, fence, end } = JSON.parse(this.#read(join('runs', name)) ?? '') as Record<string, unknown>;
        if (typeof runId !== 'string' || !Number.isSafeInteger(fence)) throw new SyntaxError();
        return [{ runId, fence: fence as number, ...(end === undefined ? {} : { end: end as Record<string, unknown> }) }];
      } catch {
        rmSync(join(this.directory, 'runs', name), { force: true });
        return [];
      }
    });
  }

  /** AGENT_HOME_BUSY when a living process has it. Answers what gives it back. */
  lock(self: ProcessIdentity = ownIdentity()): () => void {
    const path = join(this.directory, 'lock');
    const own = `${path}.${self.id}`;
    this.#write(`lock.${self.id}`, JSON.stringify(self));
    try {
      for (let attempt = 0; attempt < 3; attempt++) {
        try {
          // A link is made by one only, and its content is whole from the beginning.
          linkSync(own, path);
          return () => {
            if (this.#read('lock') === JSON.stringify(self)) rmSync(path, { force: true });
          };
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
        }
        const other = this.#read('lock');
        if (other !== undefined && isHeld(other))
          throw new Fault('AGENT_HOME_BUSY', `The process ${other} uses the home ${this.directory}`);
        rmSync(path, { force: true });
      }
      throw new Fault('AGENT_HOME_BUSY', `Several processes start with the home ${this.directory}`);
    } finally {
      unlinkSync(own);
    }
  }

  #read(name: string): string | undefined {
    try {
      return readFileSync(join(this.directory, name), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw this.#damaged(name, error);
    }
  }

  #parse(name: string, text: string): Record<string, unknown> {
    try {
      return JSON.parse(text) as Record<string, unknown>;
    } catch (error) {
      throw this.#damaged(name, error);
    }
  }

  #write(name: string, text: string): void {
    replaceFile(join(this.directory, name), text, 0o600);
  }

  #damaged(name: string, cause?: unknown): Fault {
    const code = (cause as NodeJS.ErrnoException | undefined)?.code;
    return new Fault(
      'AGENT_HOME_DAMAGED',
      `The file ${join(this.directory, name)} cannot be used${code === undefined ? '' : `: ${code}`}`,
      { cause },
    );
  }
}

/** What cannot be read was not written by a process that lives: a lock is whole from the beginning. */
function isHeld(lock: string): boolean {
  try {
    return isAlive(JSON.parse(lock) as ProcessIdentity);
  } catch {
    return false;
  }
}
