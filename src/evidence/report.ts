// A pack as a page for people: one HTML file without anything from elsewhere, fit for printing. It is made from a pack that was verified, and
// says itself that it is no evidence.

import { type Language, RUNBOOK_TEXTS } from '../plan/runbook-texts.ts';
import { formatSpan } from '../policy/duration.ts';
import type { Claim } from './claims.ts';
import { escapeHtml } from './escape-html.ts';
import { LEVEL_EDITIONS } from './gbt-20988.ts';
import type { ProvenLevel } from './level.ts';
import type { Scalar } from './measurement.ts';
import type { Pack, PackBody } from './pack.ts';
import { REPORT_TEXTS, type ReportTexts } from './report-texts.ts';
import { type Moment, timelineSvg } from './timeline-svg.ts';

const STYLE = `body{font:14px/1.5 "Noto Sans CJK SC","Microsoft YaHei",system-ui,sans-serif;color:#1b1b1b;max-width:960px;margin:2em auto;padding:0 1em}
h1{font-size:1.7em}h2{font-size:1.2em;margin-top:1.6em;border-bottom:1px solid #999}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:3px 8px;border-bottom:1px solid #ddd;overflow-wrap:anywhere}
.log{font-size:.85em}.log th:nth-child(-n+3),.log td:nth-child(-n+3){white-space:nowrap}
.good{color:#0a6b2d}.bad{color:#b00020;font-weight:bold}.small{font-size:.85em;color:#555}
svg{width:100%;font-size:12px}.phase{fill:#2f6fab}.moment{stroke:#b00020;stroke-dasharray:3 3}
@media print{body{margin:0;max-width:none;font-size:11px}h2{break-after:avoid}tr{break-inside:avoid}}
@page{size:A4;margin:15mm}`;

/** Of a pack that verifyEvidence has found nothing wrong with. */
export function renderReport({ body, keyId }: Pack, language: Language): string {
  const t = REPORT_TEXTS[language];
  const { plan, kind } = body;
  const name = (language === 'zh' ? plan.labelZh : undefined) ?? plan.label ?? plan.name;
  const title = `${t.title[kind]}: ${name}`;
  const outcome = String(claim(body, 'outcome')?.value.outcome);
  const moments = momentsOf(body, t);
  const html = [
    `<h1>${escapeHtml(title)}</h1>`,
    `<p>${t.outcome}: <strong class="${outcome === 'succeeded' ? 'good' : 'bad'}">${escapeHtml(t.outcomes[outcome] ?? outcome)}</strong></p>`,
    `<h2>${t.facts}</h2>`,
    table([
      [t.plan, `${plan.name}, ${plan.version} <span class="small">${body.planDigest}</span>`],
      [t.tenant, escapeHtml(body.tenant)],
      [t.made, body.createdAt],
      [t.times, escapeHtml(t.timesText)],
      [t.signer, keyId],
    ]),
    `<h2>${t.claims}</h2>`,
    table(claimRows(body, t)),
    `<p class="small">${escapeHtml(t.counted)}</p>`,
    `<h2>${t.timeline}</h2>`,
    timelineSvg(body.claims.phases, moments, (state) => stateName(state, language)),
    table(moments.map(({ label, at }) => [label, escapeHtml(at)])),
    `<p class="small">${escapeHtml(t.bars)}</p>`,
    ...body.claims.levels.flatMap((level) => levelSection(level, t, language)),
    `<h2>${t.measurements}</h2>`,
    table(
      body.measurements.map(({ id, at, kind: what, of, how, value }) => [
        id,
        at,
        what,
        escapeHtml(of),
        escapeHtml(how),
        escapeHtml(
          Object.entries(value)
            .map(([field, is]) => `${field}: ${is}`)
            .join(', '),
        ),
      ]),
      t.columns,
      'log',
    ),
    `<p class="small">${escapeHtml(t.check(body.id))}</p>`,
  ];
  return `<!doctype html>
<html lang="${language === 'zh' ? 'zh-CN' : 'en'}"><head><meta charset="utf-8"><title>${escapeHtml(title)}</title><style>${STYLE}</style></head>
<body>
${html.join('\n')}
</body></html>
`;
}

function claimRows(body: PackBody, t: ReportTexts): string[][] {
  const row = (what: string, { from }: Claim, text: string): string[] => [
    what,
    text,
    from.length === 0 ? '' : `<span class="small">${t.restsOn} ${from.join(', ')}</span>`,
  ];
  const rowOf = (id: Claim['id'], what: string, text: (value: Claim['value']) => string): string[][] => {
    const one = claim(body, id);
    return one === undefined ? [] : [row(what, one, text(one.value))];
  };
  const groups = body.claims.claims.filter(({ id }) => id === 'consistency');
  const length = (value: Claim['value']): string => {
    const { ms, objectiveMs, isKept } = value;
    const measured = typeof ms === 'number' ? spanOf(ms) : t.notMeasured;
    return `${measured} (${t.objective} ${spanOf(Number(objectiveMs))}) ${verdict(isKept, t.kept, t.broken)}`;
  };
  return [
    ...rowOf('rpo', t.rpo, length),
    ...rowOf('rto', t.rto, length),
    ...rowOf('fencing', t.fencing, ({ proof, isProven }) =>
      verdict(isProven, String(proof), proof === null ? t.notMeasured : String(proof)),
    ),
    ...rowOf('isolation', t.isolation, ({ probes, reached, changed, isVoid }) => {
      const text = t.isolationText(Number(probes), Number(reached), Number(changed));
      return verdict(isVoid === false, text, text);
    }),
    ...rowOf('pages', t.pages, ({ checked, damaged, isSound }) => both(isSound, t.pagesText(Number(checked), Number(damaged)))),
    ...rowOf('smoke', t.smoke, ({ passed, failed, isPassed }) => both(isPassed, t.smokeText(Number(passed), Number(failed)))),
    ...groups.map((one) => row(escapeHtml(t.consistency(String(one.value.group))), one, consistencyText(one, t))),
  ];
}

function consistencyText({ value: { reached, spreadMs, declared, epsilonMs, isKept } }: Claim, t: ReportTexts): string {
  const spread = spreadMs === null ? t.notMeasured : spanOf(Number(spreadMs));
  const promised = declared === 'epsilon' ? spanOf(Number(epsilonMs)) : (t.reached[String(declared)] ?? '');
  return both(isKept, t.consistencyText(t.reached[String(reached)] ?? '', spread, promised));
}

function levelSection(proven: ProvenLevel, t: ReportTexts, language: Language): string[] {
  const edition = LEVEL_EDITIONS.find(({ id }) => id === proven.edition);
  if (edition === undefined) return [];
  const { level, elements, gaps } = proven;
  const levelName = level === 0 ? '' : edition.levels[level - 1]![language];
  const requirements = new Map(edition.requirements.map((one) => [one.id, one.text[language]]));
  return [
    `<h2>${t.level}: ${escapeHtml(t.levelText(level, levelName))}</h2>`,
    `<p class="small">${escapeHtml(edition.title[language])}</p>`,
    table(
      Object.entries(edition.elements).map(([element, text]) => [
        escapeHtml(text[language]),
        String(elements[element as keyof typeof elements]),
        gaps
          .filter((gap) => gap.element === element)
          .map(({ requirement, found }) =>
            escapeHtml(`${requirements.get(requirement)}${found === undefined ? '' : ` (${t.found} ${found})`}`),
          )
          .join('<br>') || t.nothingMissing,
      ]),
      level < edition.levels.length ? [t.element, t.proven, t.gaps(level + 1)] : [t.element, t.proven, ''],
    ),
  ];
}

function momentsOf({ measurements }: PackBody, t: ReportTexts): Moment[] {
  const moment = (label: string, value: Scalar | undefined): Moment[] =>
    typeof value === 'string' && !Number.isNaN(Date.parse(value)) ? [{ label, at: value }] : [];
  const declaration = measurements.findLast(({ kind }) => kind === 'declaration')?.value;
  const times = (kind: string, field: string): string[] =>
    measurements.flatMap((one) => (one.kind === kind && typeof one.value[field] === 'string' ? [one.value[field]] : [])).sort();
  return [
    ...moment(t.heartbeat, times('heartbeat', 'newest')[0]),
    ...moment(t.disaster, declaration?.disaster),
    ...moment(t.declared, declaration?.declared),
    ...moment(t.firstWrite, times('first-write', 'at').at(-1)),
  ];
}

function stateName(state: string, language: Language): string {
  const { states } = RUNBOOK_TEXTS[language];
  return Object.hasOwn(states, state) ? states[state as keyof typeof states] : state;
}

function claim({ claims }: PackBody, id: Claim['id']): Claim | undefined {
  return claims.claims.find((one) => one.id === id);
}

function verdict(isGood: Scalar | undefined, good: string, bad: string): string {
  return `<span class="${isGood === true ? 'good' : 'bad'}">${escapeHtml(isGood === true ? good : bad)}</span>`;
}

const both = (isGood: Scalar | undefined, text: string): string => verdict(isGood, text, text);

const spanOf = (ms: number): string => (ms < 60_000 ? `${Math.round(ms) / 1000} s` : formatSpan(ms));

/** Cells are HTML. */
function table(rows: readonly (readonly string[])[], head?: readonly string[], look?: string): string {
  const line = (cells: readonly string[], tag: string): string =>
    `<tr>${cells.map((cell) => `<${tag}>${cell}</${tag}>`).join('')}</tr>`;
  const kind = look === undefined ? '' : ` class="${look}"`;
  return `<table${kind}>${head === undefined ? '' : line(head.map(escapeHtml), 'th')}${rows.map((row) => line(row, 'td')).join('')}</table>`;
}
