// A plan as a document for people (Markdown), in one of two languages, to be printed and kept where no computer is needed. Every line of its
// tables is an action of `planRun`, the list that the executor obeys.

import { PLAN_RUN_KINDS, type PlanRunKind } from '../model/failover-kind.ts';
import { formatSpan } from '../policy/duration.ts';
import { groupOrder } from './group-order.ts';
import { planDigest } from './plan-digest.ts';
import type { PlanDocument } from './plan-document.ts';
import { longestMs, type PlanAction, planRun, STATES } from './plan-run.ts';
import { type Language, RUNBOOK_TEXTS, type RunbookTexts } from './runbook-texts.ts';

type Labelled = { readonly name: string; readonly label?: string; readonly labelZh?: string };

/** Ends with a line break. The same plan gives the same text. */
export function renderRunbook(plan: PlanDocument, language: Language): string {
  const t = RUNBOOK_TEXTS[language];
  const kinds = PLAN_RUN_KINDS.filter((kind) => kind !== 'drill' || plan.drill !== undefined);
  return [
    `# ${t.title}: ${titleOf(plan, language)}`,
    '',
    t.madeFrom(plan.version, planDigest(plan)),
    '',
    ...facts(plan, t),
    `## ${t.groups}`,
    '',
    ...groupTable(plan, t, language),
    ...kinds.flatMap((kind) => runSection(plan, kind, t, language)),
    `${t.signature}: ____________________`,
    '',
  ].join('\n');
}

function facts(plan: PlanDocument, t: RunbookTexts): string[] {
  const { sites, objectives, approvals, lease, fencing } = plan;
  const section = (title: string, rows: readonly (readonly [string, string])[]): string[] => [
    `## ${title}`,
    '',
    ...rows.map(([what, value]) => `- ${what}: ${cell(value)}`),
    '',
  ];
  return [
    ...section(t.sites, [
      [t.source, sites.source],
      [t.target, sites.target],
      [t.witness, sites.witness ?? t.noWitness],
    ]),
    ...section(t.objectives, [
      [t.rpo, objectives.rpo],
      [t.rto, objectives.rto],
    ]),
    ...section(t.people, [
      [t.planned, String(approvals.planned)],
      [t.unplanned, String(approvals.unplanned)],
      [t.breakGlass, String(approvals.breakGlass)],
    ]),
    `## ${t.lease}`,
    '',
    t.leaseText(lease.ttl, lease.margin, lease.onLeaseLoss === 'stop'),
    '',
    `${t.proofs}: ${fencing.proofs.join(', ')}`,
    '',
  ];
}

function groupTable({ groups }: PlanDocument, t: RunbookTexts, language: Language): string[] {
  const order = groupOrder(groups);
  const waves = order.kind === 'waves' ? order.waves : [];
  return [
    ...tableHead(['', t.group, t.assets, t.after, t.consistency]),
    ...waves.flatMap((wave, n) =>
      wave.map((group) => {
        const { consistency = 'none', epsilon, after = [], members } = group;
        const holds = `${t.consistencies[consistency]}${epsilon === undefined ? '' : ` ${epsilon}`}`;
        const assets = members.map(({ asset }) => plain(asset)).join(', ');
        return row([t.parallel(n + 1), titleOf(group, language), assets, after.join(', '), holds]);
      }),
    ),
    '',
  ];
}

function runSection(plan: PlanDocument, kind: PlanRunKind, t: RunbookTexts, language: Language): string[] {
  const actions = planRun(plan, kind);
  const { title, when } = t.runs[kind];
  // A failback is the same plan the other way round.
  const sites = kind === 'failback' ? { source: plan.sites.target, target: plan.sites.source } : plan.sites;
  const granted = STATES.indexOf('granted');
  const before = actions.filter(({ state }) => STATES.indexOf(state) < granted);
  const rows = (some: readonly PlanAction[], first: number): string[] =>
    some.map((action, n) => actionRow(plan, action, first + n, { t, language, kind }));
  const table = tableHead(t.columns);
  const isDrill = kind === 'drill';
  return [
    `## ${title}: ${sites.source} → ${sites.target}`,
    '',
    when,
    '',
    ...(isDrill ? [] : [`${t.longest}: ${formatSpan(longestMs(actions))}`, '']),
    ...table,
    ...rows(isDrill ? actions : before, 1),
    '',
    ...(isDrill ? [] : [`**${t.undo}** ${t.noUndo}`, '', ...table, ...rows(actions.slice(before.length), before.length + 1), '']),
  ];
}

type Context = { readonly t: RunbookTexts; readonly language: Language; readonly kind: PlanRunKind };

function actionRow(plan: PlanDocument, action: PlanAction, number: number, context: Context): string {
  const { t, language } = context;
  const group = plan.groups.find(({ name }) => name === action.group);
  return row([
    String(number),
    t.states[action.state],
    group === undefined ? '' : titleOf(group, language),
    textOf(action, context),
    limitText(action, t),
    '',
  ]);
}

function limitText(action: PlanAction, t: RunbookTexts): string {
  if (action.limitMs > 0) return formatSpan(action.limitMs);
  return action.kind === 'builtin' && action.people !== undefined ? t.noLimit : '-';
}

function textOf(action: PlanAction, { t, language, kind }: Context): string {
  const isDrill = kind === 'drill';
  switch (action.kind) {
    case 'builtin':
      if (isDrill && action.action === 'promote') return t.promoteClone(plain(action.asset ?? ''));
      return t.actions[action.action](plain(action.asset ?? ''), action.people ?? 0);
    case 'gate': {
      const { gate, gateZh } = action.step;
      const question = plain((language === 'zh' ? gateZh : undefined) ?? gate ?? '');
      return isDrill ? `${question} (${t.asksNobody})` : `**${t.gate(action.people)}** ${question}`;
    }
    case 'route': {
      const { route } = action;
      const to = kind === 'failback' ? route.source : route.target;
      return `${t.route(titleOf(route, language), route.kind, to)}: ${commandText(route.command)}`;
    }
    case 'step': {
      const { step, at } = action;
      const isLeftOut = isDrill && at === 'source';
      const notes = [isLeftOut ? t.leavesOut : t.at[at], ...(step.onFailure === 'continue' ? [t.continues] : [])].join(', ');
      return `${titleOf(step, language)} (${notes}): ${commandText(step.command!)}`;
    }
  }
}

function titleOf({ name, label, labelZh }: Labelled, language: Language): string {
  return plain((language === 'zh' ? labelZh : undefined) ?? label ?? name);
}

/** A name as it is, whatever its characters would mean in Markdown or HTML; "_" within a word means nothing there. Nothing turns the line round. */
function plain(text: string): string {
  return text
    .replace(/[\u0085\u2028-\u202e\u2066-\u2069]/g, ' ')
    .replace(/[\\`*[<~]|&(?=[#\w]+;)|(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu, '\\$&');
}

/** Words with anything unusual in them are quoted, so that a person who types it gets the same words. */
function commandText(words: readonly string[]): string {
  const text = words.map(typed).join(' ');
  // As many backticks around it as it needs.
  const ticks = '`'.repeat(Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length)) + 1);
  return ticks.length === 1 ? `\`${text}\`` : `${ticks} ${text} ${ticks}`;
}

function typed(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  // What cannot be seen, or breaks the line, has to be typed as well.
  if (!/[\p{C}\p{Zl}\p{Zp}]/u.test(word)) return `'${word.replaceAll("'", `'\\''`)}'`;
  const seen = word.replace(/[\\']/g, '\\$&').replaceAll('\n', '\\n').replaceAll('\t', '\\t');
  return `$'${seen.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, escaped)}'`;
}

function escaped(character: string): string {
  const code = character.codePointAt(0)!.toString(16);
  return code.length > 4 ? `\\U${code.padStart(8, '0')}` : `\\u${code.padStart(4, '0')}`;
}

function tableHead(titles: readonly string[]): string[] {
  return [row(titles), `|${titles.map(() => '---').join('|')}|`];
}

function row(cells: readonly string[]): string {
  return `| ${cells.map(cell).join(' | ')} |`;
}

/** Nothing in a plan may end a cell or a line. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|').replace(/[\r\n]+/g, ' ');
}
