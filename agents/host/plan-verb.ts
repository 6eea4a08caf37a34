// What plans need of this host is done by our own command line, as people do it by hand: with the configuration of the site daemon here, which
// the agent was started with. Nothing of a plan runs on a host whose administrator did not say so: programs of its steps must be in directories that
// hooks may be in.

import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Fault, type FaultCode } from '../../src/base/faults.ts';
import { type ChildEnd, type ChildLine, runProgram } from '../../src/base/program-child.ts';
import type { PlanDocument } from '../../src/plan/plan-document.ts';
import { programsOf } from '../../src/plan/plan-programs.ts';
import { parsePlan } from '../../src/plan/read-plan.ts';
import { allowedProgram } from './hooks.ts';
import type { RunContext } from './run-context.ts';

const COMMAND = fileURLToPath(new URL('../../bin/holdfast', import.meta.url));

export type PlanPlace = {
  readonly plan: PlanDocument;
  /** Of the plan, while the run lasts. */
  readonly file: string;
  /** Of the site daemon. */
  readonly config: string;
};

export type PlanVerbEnd = {
  readonly end: ChildEnd;
  readonly lines: readonly ChildLine[];
  readonly summary: ChildLine | undefined;
  /** What the verb has failed with. */
  readonly fault: Fault | undefined;
};

/** AGENT_NOT_AT_SITE, AGENT_HOOK_DENIED, PLAN_INVALID. */
export async function withPlan<T>(context: RunContext, work: (place: PlanPlace) => Promise<T>): Promise<T> {
  const { claimed, settings, home } = context;
  const { run, plan: text } = claimed;
  if (settings.siteConfig === undefined) throw new Fault('AGENT_NOT_AT_SITE', 'This agent does not know of the site of its host');
  if (text === undefined) throw new Fault('PLAN_INVALID', `The plan of the run ${run.id} did not come with it`);
  const plan = parsePlan(text);
  for (const program of programsOf(plan)) allowedProgram(program, settings.allowHooks);
  const file = join(home.plans, `${run.id}.yaml`);
  writeFileSync(file, text, { mode: 0o600 });
  try {
    return await work({ plan, file, config: settings.siteConfig });
  } finally {
    rmSync(file, { force: true });
  }
}

/** `onLine`: whatever it says on its way. */
export async function planVerb(
  { settings, signal }: RunContext,
  args: readonly string[],
  onLine: (line: ChildLine) => void = () => {},
): Promise<PlanVerbEnd> {
  const lines: ChildLine[] = [];
  let summary: ChildLine | undefined;
  let fault: Fault | undefined;
  const end = await runProgram({
    program: { command: COMMAND, environment: settings.variables },
    args,
    environment: {},
    signal,
    onLine: (line) => {
      if (line.kind === 'summary') summary = line;
      else if (line.kind === 'error') fault = faultOf(line);
      else lines.push(line);
      onLine(line);
    },
  });
  return { end, lines, summary, fault };
}

/** Of one that did not come to its summary. */
export function faultOfEnd({ end, fault }: PlanVerbEnd): Fault {
  if (fault !== undefined) return fault;
  const how = end.signal === null ? `ended with status ${end.status}` : `was ended by ${end.signal}`;
  const said = end.stderr.trim().split('\n').at(-1)?.slice(0, 500) ?? '';
  return new Fault('AGENT_RUN_CRASHED', `The process of the run ${how}${said === '' ? '' : `: ${said}`}`);
}

function faultOf({ code, message, hint }: ChildLine): Fault {
  return new Fault(String(code) as FaultCode, String(message), typeof hint === 'string' ? { hint } : {});
}
