// The table of faults as a document for people: ops/runbooks/faults.md is made by it, and a test says when it is out of date.

import { EXIT, FAULTS } from './faults.ts';

const INTRODUCTION = `# Faults

What a program prints when it fails: \`holdfast: <what failed, on what>\`, a hint, and a stable code in brackets. With \`--json\` the last line is
\`{"kind":"error","code","message","hint","exit","retry"}\`. A code is never used for anything else, also not after it is given up.

This file is made from the table in \`src/base/faults.ts\`: \`ops/write-runbooks\`.

| exit status | meaning |
|---|---|
| 0 | success |
| ${EXIT.failed} | failed |
| ${EXIT.usage} | bad usage: nothing was done |
| ${EXIT.warnings} | done with warnings: files were skipped or changed while they were read, a stream was empty |
| ${EXIT.damage} | damage found |
| ${EXIT.interrupted} | interrupted; what was done is kept |

"Again later" says whether the same command can succeed without any change; the program has then tried several times already.
`;

const CHAPTERS: Readonly<Record<string, string>> = {
  USAGE: 'Use',
  INTERRUPTED: 'Use',
  INTERNAL: 'Use',
  STORE: 'The store',
  FORMAT: 'The format',
  INDEX: 'The local index cache',
  SESSION: 'Sessions and snapshots',
  SNAPSHOT: 'Sessions and snapshots',
  HEAD: 'Sessions and snapshots',
  REPOSITORY: 'Sessions and snapshots',
  SOURCE: 'The source',
  REPLICA: 'Replicas',
  REGISTRY: 'Who may write',
  DR: 'Who may write',
  GATE: 'Who may write',
  STANDBY: 'Who may write',
  FAILOVER: 'Who may write',
  SITE: 'Who may write',
  PLAN: 'Plans and evidence',
  ROUTE: 'Plans and evidence',
  DRILL: 'Plans and evidence',
  EVIDENCE: 'Plans and evidence',
  RETENTION: 'Retention',
  KEY: 'Keys',
  TARGET: 'The target of a restore',
  EXPORT: 'Export',
  AGENT: 'Agents',
  GRANT: 'Agents',
  READING: 'Agents',
  QUOTA: 'The service',
  MESSAGE: 'Agents',
  RUN: 'Runs',
  RESTORE: 'Runs',
  HOME: 'The service',
  SERVICE: 'The service',
  TENANT: 'The service',
  POLICY: 'The service',
  REQUEST: 'Requests',
  LOGIN: 'Requests',
  CHANNEL: 'The service',
  CATALOG: 'The catalogue',
  AUDIT: 'Audit and approvals',
  APPROVAL: 'Audit and approvals',
  ERASURE: 'The service',
  CERTIFICATE: 'The service',
  PG: 'PostgreSQL',
  LOG: 'Logs and recovery to a time',
  RECOVERY: 'Logs and recovery to a time',
};

/** Markdown. */
export function faultsDocument(): string {
  const chapters = new Map<string, string[]>();
  for (const [code, { exit, retry, hint }] of Object.entries(FAULTS)) {
    const chapter = CHAPTERS[code.split('_')[0]!] ?? 'Others';
    const rows = chapters.get(chapter) ?? [];
    rows.push(`| \`${code}\` | ${exit} | ${retry === 'later' ? 'yes' : 'no'} | ${hint.replaceAll('|', '\\|')} |`);
    chapters.set(chapter, rows);
  }
  const parts = [...chapters].map(
    ([chapter, rows]) => `## ${chapter}\n\n| code | exit | again later | what to do |\n|---|---|---|---|\n${rows.join('\n')}\n`,
  );
  return [INTRODUCTION, ...parts].join('\n');
}
