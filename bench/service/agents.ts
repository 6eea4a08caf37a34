// How many agents one control plane carries: simulated ones, each with a key and a connection of its own, polling as real ones do, while runs
// are queued at a steady rate. The control plane is a process of its own; the agents share this one (and the machine's cores).
//
//   bin/node bench/service/agents.ts [--agents 1000] [--runs-per-minute 200] [--seconds 60] [--work DIR] [--json FILE]

import { fork } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { HttpTransport } from '../../agents/host/http-transport.ts';
import type { FromPlane, PlaneFigures, ToPlane } from './plane.ts';
import { type Samples, SimulatedAgent } from './simulated-agent.ts';

const MIB = 1024 * 1024;
/** Agents come one after the other, as they do when a service was restarted. */
const CONNECTS_PER_SECOND = 400;

type Figures = {
  readonly agents: number;
  readonly seconds: number;
  readonly runsPerMinuteAsked: number;
  readonly runsBegunPerMinute: number;
  readonly pollsPerSecond: number;
  readonly latency: Readonly<
    Record<string, { readonly n: number; readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number }>
  >;
  readonly failures: number;
  readonly plane: PlaneFigures;
  readonly planeCores: number;
  readonly clientCores: number;
  readonly machineCores: number;
};

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      agents: { type: 'string', default: '1000' },
      'runs-per-minute': { type: 'string', default: '200' },
      seconds: { type: 'string', default: '60' },
      work: { type: 'string', default: tmpdir() },
      json: { type: 'string' },
    },
  });
  mkdirSync(values.work, { recursive: true });
  const directory = mkdtempSync(join(values.work, 'holdfast-bench-agents-'));
  try {
    const figures = await measure(directory, Number(values.agents), Number(values['runs-per-minute']), Number(values.seconds));
    console.log(table(figures));
    if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ at: new Date(), ...figures }, undefined, 2)}\n`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function measure(directory: string, count: number, runsPerMinute: number, seconds: number): Promise<Figures> {
  const plane = fork(new URL('./plane.ts', import.meta.url), [directory]);
  const answers: FromPlane[] = [];
  const waiting: ((message: FromPlane) => void)[] = [];
  plane.on('message', (message: FromPlane) => {
    const taker = waiting.shift();
    if (taker === undefined) answers.push(message);
    else taker(message);
  });
  const next = (): Promise<FromPlane> =>
    answers.length > 0 ? Promise.resolve(answers.shift()!) : new Promise((resolve) => waiting.push(resolve));
  const tell = (message: ToPlane): void => void plane.send(message);
  const ready = await next();
  if (ready.kind !== 'ready') throw new Error('The control plane did not start.');
  const pairs = Array.from({ length: count }, () => generateKeyPairSync('ed25519'));
  tell({ kind: 'prepare', publicKeys: pairs.map(({ publicKey }) => publicKey.export({ format: 'jwk' }).x!) });
  const prepared = await next();
  if (prepared.kind !== 'prepared') throw new Error('The agents were not enrolled.');
  const samples: Samples = { pollMs: [], heartbeatMs: [], claimMs: [], endMs: [], failures: 0, fromMs: Number.POSITIVE_INFINITY };
  const stop = new AbortController();
  const transports = pairs.map(({ privateKey }, i) => {
    const identity = { key: privateKey, agentId: prepared.agentIds[i]! };
    return new HttpTransport({ url: ready.url, ...identity, now: () => new Date(), random: randomBytes });
  });
  const spreadMs = (count / CONNECTS_PER_SECOND) * 1000;
  const agents = transports.map((transport) => new SimulatedAgent(transport, samples).run(stop.signal, spreadMs));
  // Until all are there and idle polls have begun to come back.
  await pause(spreadMs + 5_000);
  samples.fromMs = performance.now();
  samples.failures = 0;
  const cpu = process.cpuUsage();
  tell({ kind: 'begin', runsPerMinute });
  await pause(seconds * 1000);
  const own = process.cpuUsage(cpu);
  tell({ kind: 'count' });
  const counted = await next();
  if (counted.kind !== 'figures') throw new Error('The control plane did not answer.');
  stop.abort();
  await Promise.all(agents);
  await Promise.all(transports.map((transport) => transport.close()));
  tell({ kind: 'end' });
  await new Promise((resolve) => plane.once('exit', resolve));
  return {
    agents: count,
    seconds,
    runsPerMinuteAsked: runsPerMinute,
    runsBegunPerMinute: Math.round((samples.claimMs.length / seconds) * 60),
    pollsPerSecond: (samples.pollMs.length + samples.heartbeatMs.length + samples.claimMs.length) / seconds,
    latency: {
      heartbeat: summary(samples.heartbeatMs),
      'poll, beyond its wait': summary(samples.pollMs),
      'queued to claimed': summary(samples.claimMs),
      'end of a run': summary(samples.endMs),
    },
    failures: samples.failures,
    plane: counted.figures,
    planeCores: counted.figures.cpuSeconds / seconds,
    clientCores: (own.user + own.system) / 1e6 / seconds,
    machineCores: availableParallelism(),
  };
}

function summary(values: readonly number[]): Figures['latency'][string] {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { n: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: sorted.at(-1) ?? Number.NaN };
}

function table(figures: Figures): string {
  const { agents, seconds, runsBegunPerMinute, pollsPerSecond, latency, failures, plane, planeCores, clientCores } = figures;
  const rows = Object.entries(latency).map(
    ([name, { n, p50Ms, p99Ms, maxMs }]) => `| ${name} | ${n} | ${p50Ms.toFixed(1)} | ${p99Ms.toFixed(1)} | ${maxMs.toFixed(1)} |`,
  );
  return [
    `${agents} agents for ${seconds} s: ${pollsPerSecond.toFixed(0)} polls/s, ${runsBegunPerMinute} runs begun a minute, ${failures} failures`,
    '',
    '| | n | p50 ms | p99 ms | max ms |',
    '|---|---|---|---|---|',
    ...rows,
    '',
    `control plane: ${planeCores.toFixed(2)} cores, ${(plane.rssBytes / MIB).toFixed(0)} MiB resident (peak ${(plane.peakRssBytes / MIB).toFixed(0)}), ` +
      `event loop late by ${plane.loopDelayP99Ms.toFixed(1)} ms at p99, ${plane.loopDelayMaxMs.toFixed(1)} at most; the agents took ${clientCores.toFixed(2)} cores`,
  ].join('\n');
}

function pause(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}

await main();
