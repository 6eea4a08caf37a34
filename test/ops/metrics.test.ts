// Dashboard and alert rules name only metrics and labels that exist, and every alert says what to do.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { siteMetrics } from '../../agents/site/site-metrics.ts';
import { ApiMetrics } from '../../src/api/metrics.ts';
import { CHECKOUT } from '../architecture/source-files.ts';

const OPS = join(CHECKOUT, 'ops');
const read = (name: string): string => readFileSync(join(OPS, name), 'utf8');

type Rule = { alert: string; expr: string; for: string; labels: { severity: string }; annotations: Record<string, string> };
type Panel = {
  id: number;
  type: string;
  title: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: { expr: string; legendFormat?: string }[];
};

const rules = (parse(read('prometheus/holdfast-alerts.yaml')) as { groups: { rules: Rule[] }[] }).groups.flatMap(
  (group) => group.rules,
);
const dashboard = JSON.parse(read('grafana/holdfast.json')) as {
  panels: Panel[];
  templating: { list: { query: string | { query: string } }[] };
};
const targets = dashboard.panels.flatMap((panel) => panel.targets ?? []);

/** Every series name with its labels, as Prometheus sees them. */
async function series(): Promise<ReadonlyMap<string, readonly string[]>> {
  const { registry } = new ApiMetrics({ catalog: undefined as never, now: () => new Date(0), version: '0', assetsMax: 1 });
  const known = new Map<string, readonly string[]>([['up', []]]);
  for (const metric of registry.getMetricsAsArray()) {
    // What prom-client keeps of each; its types say less.
    const { name, labelNames, get } = metric as unknown as {
      name: string;
      labelNames: string[];
      get: () => Promise<{ type: string }>;
    };
    known.set(name, labelNames);
    if (String((await get.call(metric)).type) === 'histogram') {
      for (const ending of ['_count', '_sum']) known.set(`${name}${ending}`, labelNames);
      known.set(`${name}_bucket`, [...labelNames, 'le']);
    }
  }
  // What the daemons of sites say is scraped by itself.
  for (const [, name] of siteMetrics([]).matchAll(/^# TYPE (\S+)/gm)) known.set(name!, ['asset', 'site', 'role']);
  return known;
}

const namesIn = (expression: string): string[] => expression.match(/\bholdfast_\w+/g) ?? [];

function labelsIn(expression: string): string[] {
  const selectors = [...expression.matchAll(/\{([^}]*)\}/g)].flatMap(([, inner]) =>
    [...inner!.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, name]) => name!),
  );
  const lists = [...expression.matchAll(/\b(?:by|on|without|ignoring|group_left)\s*\(([^)]*)\)/g)].flatMap(([, inner]) =>
    inner!.split(',').map((one) => one.trim()),
  );
  return [...selectors, ...lists].filter((name) => name !== '');
}

describe('every expression of the dashboard and of the alert rules', () => {
  const variables = dashboard.templating.list
    .map(({ query }) => (typeof query === 'string' ? query : query.query))
    .filter((text) => text.includes('('));
  const expressions = [...rules.map(({ expr }) => expr), ...targets.map(({ expr }) => expr), ...variables];

  it('are there', () => {
    expect(rules.length).toBeGreaterThan(8);
    expect(targets.length).toBeGreaterThan(12);
    expect(variables.length).toBeGreaterThan(0);
  });

  it.each(expressions.map((expression) => [expression]))('%s names only series and labels that exist', async (expression) => {
    const known = await series();
    const names = namesIn(expression);
    expect(names.length + (expression.includes('up{') ? 1 : 0)).toBeGreaterThan(0);
    expect(names.filter((name) => !known.has(name))).toEqual([]);
    const labels = new Set([...names.flatMap((name) => known.get(name)!), 'job', 'instance']);
    expect(labelsIn(expression).filter((label) => !labels.has(label))).toEqual([]);
    for (const [open, close] of ['()', '{}', '[]'] as const)
      expect(expression.split(open!).length, expression).toBe(expression.split(close!).length);
  });

  it('show together every series that there is: what nobody looks at need not be measured', async () => {
    const shown = new Set(expressions.flatMap(namesIn).map((name) => name.replace(/_(?:bucket|count|sum)$/, '')));
    const unseen = [...(await series()).keys()]
      .map((name) => name.replace(/_(?:bucket|count|sum)$/, ''))
      .filter((name) => name !== 'up' && !name.startsWith('holdfast_site_') && !shown.has(name));
    expect(unseen.filter((name) => name !== 'holdfast_promise_measured_seconds')).toEqual([]);
  });
});

const hasPromtool = spawnSync('promtool', ['--version']).status === 0;

if (!hasPromtool && process.env.CI === 'true') throw new Error('the alert rules are tried with promtool (package prometheus)');
if (!hasPromtool) console.log('SKIPPED: the alert rules are tried with promtool (package prometheus)');

describe('Prometheus itself', () => {
  it.skipIf(!hasPromtool)('takes the rules, and they fire when they should and not before', () => {
    for (const args of [
      ['check', 'rules', 'holdfast-alerts.yaml'],
      ['test', 'rules', 'holdfast-alerts.test.yaml'],
    ]) {
      const { status, stdout, stderr } = spawnSync('promtool', args, { cwd: join(OPS, 'prometheus'), encoding: 'utf8' });
      expect(status, stdout + stderr).toBe(0);
    }
  });
});

describe('every alert', () => {
  it.each(rules.map((rule) => [rule.alert, rule] as const))(
    '%s has a severity, a sentence and a section of the runbook',
    (name, rule) => {
      expect(['critical', 'warning']).toContain(rule.labels.severity);
      expect(rule.annotations.summary).toMatch(/\w+ \w+/);
      expect(rule.for).toMatch(/^\d+[mh]$/);
      const [file, anchor] = rule.annotations.runbook!.split('#');
      const headings = [...readFileSync(join(CHECKOUT, file!), 'utf8').matchAll(/^## (.+)$/gm)].map(([, heading]) => heading!);
      expect(headings).toContain(name);
      expect(anchor).toBe(name.toLowerCase());
    },
  );

  it('uses in its words only labels that its expression leaves', () => {
    for (const { alert, expr, annotations } of rules) {
      const grouped = /(?:sum|max) by \(([^)]*)\)/
        .exec(expr)?.[1]
        ?.split(',')
        .map((one) => one.trim());
      for (const [, label] of Object.values(annotations)
        .join(' ')
        .matchAll(/\$labels\.(\w+)/g))
        if (grouped !== undefined) expect(grouped, alert).toContain(label);
    }
  });
});

describe('the dashboard', () => {
  it('has panels that do not lie upon each other', () => {
    const cells = new Map<string, number>();
    for (const {
      id,
      title,
      gridPos: { x, y, w, h },
    } of dashboard.panels) {
      expect(x + w, title).toBeLessThanOrEqual(24);
      for (let i = x; i < x + w; i++)
        for (let j = y; j < y + h; j++) {
          expect(cells.get(`${i},${j}`), `${title} at ${i},${j}`).toBeUndefined();
          cells.set(`${i},${j}`, id);
        }
    }
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
  });
});
