// A start gate in a process of its own, to be killed or stopped: bin/node test/support/gate-child.ts OPTIONS. It prints its facts as lines of
// JSON when they change. Its registry is an embedded one.

import { StartGate } from '../../agents/gate/start-gate.ts';
import { WriterRegister } from '../../src/dr/writer-register.ts';
import { openEmbeddedRegistry } from '../../src/registry/embedded.ts';
import { serverUser } from './postgres.ts';

export type GateChildOptions = {
  readonly member: string;
  readonly registry: string;
  readonly incarnation: string;
  readonly programs: string;
  readonly dataDirectory: string;
  readonly tokenFile: string;
  readonly args: readonly string[];
};

async function main(): Promise<void> {
  const { registry, incarnation, ...options } = JSON.parse(process.argv[2]!) as GateChildOptions;
  const register = new WriterRegister(openEmbeddedRegistry(registry), incarnation);
  const gate = await StartGate.open({ ...options, register, owner: serverUser(), ask: async () => false });
  const over = new AbortController();
  process.once('SIGTERM', () => over.abort());
  let last = '';
  const timer = setInterval(() => {
    const line = JSON.stringify(gate.facts);
    if (line !== last) console.log(line);
    last = line;
  }, 10);
  await gate.run(over.signal);
  clearInterval(timer);
}

try {
  await main();
} catch (error) {
  console.error((error as { code?: string }).code, (error as Error).message);
  process.exitCode = 1;
}
