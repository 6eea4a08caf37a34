// The configuration of a site daemon as people write it (YAML). Closed: a key that is not here is an error. The schema is the only description
// of the form; the type and the messages of `readSiteConfig` are made from it.

import type { Static, TSchema } from 'typebox';
import { Fault } from '../../src/base/faults.ts';
import { Type } from '../../src/base/type.ts';
import { Label, Name } from '../../src/model/identifier.ts';
import { DURATION_PATTERN, MINUTE_MS, parseDuration, SECOND_MS } from '../../src/policy/duration.ts';
import { fieldText, type Path, schemaProblems } from '../../src/policy/schema-problems.ts';
import { yamlValue } from '../../src/policy/yaml-value.ts';

const TEXT_BYTES_MAX = 256 * 1024;
const PROBLEMS_MAX = 50;
const LEASE_MIN_MS = SECOND_MS;
/** As much as the register holds. */
const LEASE_MAX_MS = 10 * MINUTE_MS;

const closed = <P extends Record<string, TSchema>>(properties: P, description: string) =>
  Type.Object(properties, { additionalProperties: false, description });
const may = <T extends TSchema>(schema: T) => Type.Optional(schema);
const name = (what: string) => Type.String({ ...Name, description: `${what}: lower-case letters, digits and "-"` });
const text = (what: string) => Type.String({ ...Label, maxLength: 1024, description: `${what}: one line` });
const path = (what: string) =>
  Type.String({ pattern: '^/[^\\u0000-\\u001f]*$', maxLength: 4096, description: `${what}: an absolute path` });
const duration = (what: string) => Type.String({ pattern: DURATION_PATTERN, description: `${what}: a time such as 10s or 2m` });
const listen = (what: string) =>
  Type.String({ pattern: '^[^\\s:/]*(?:\\[[0-9a-f:]+\\])?:[0-9]{1,5}$', description: `${what}: address:port` });
const url = (what: string) => Type.String({ pattern: '^https?://[^\\s/]+/?$', description: `${what}: http(s)://host:port` });
const list = <T extends TSchema>(items: T, description: string, { minItems = 0, maxItems = 64 } = {}) =>
  Type.Array(items, { minItems, maxItems, description });

const Place = closed(
  { location: text('a directory, or s3+https://host/bucket/prefix'), passphraseFile: path('the file with its passphrase') },
  'a repository, with location and passphraseFile',
);

const Database = closed(
  {
    asset: text('the asset, as plans and policies name it'),
    incarnation: name('the id of this database, the same at every site and never that of a copy for a drill'),
    dataDirectory: path('the data directory of its server'),
    programs: path('the directory with postgres, pg_ctl and pg_controldata'),
    arguments: may(list(text('a word'), 'words for the server, after -D DIRECTORY')),
    connection: text('how to reach the server here: "host=/run/postgresql port=5432 user=holdfast", or a postgresql:// URL'),
    slot: may(name('the replication slot of the capture (absent: holdfast_site)')),
    repository: Place,
    copyFrom: may(Place),
    candidates: may(list(name('a site'), 'sites that may take over; read by "holdfast site adopt" only')),
    lease: may(
      closed(
        {
          ttl: duration('how long the primary may write after it asked for the last time'),
          margin: may(duration('within which its server is proven to be stopped then (absent: as ttl)')),
        },
        'the lease, with ttl, as "holdfast site adopt" has registered it and "holdfast site lease" changes it',
      ),
    ),
    onLeaseLoss: may(
      Type.Unsafe<'stop' | 'continue'>(
        Type.String({ enum: ['stop', 'continue'], description: 'what the primary does when its lease ends: stop, continue' }),
      ),
    ),
    baseEvery: may(duration('how old the newest base backup may become (absent: 24h)')),
    immutability: may(
      duration('for how long nobody shall be able to delete what "repository" holds: it is kept locked (absent: not)'),
    ),
  },
  'a database, with asset, incarnation, dataDirectory, programs, connection, repository',
);

const Files = closed(
  {
    asset: text('the asset, as plans and policies name it'),
    kind: Type.Unsafe<'files' | 'volume'>(Type.String({ enum: ['files', 'volume'], description: 'what it is: files, volume' })),
    path: path('the directory of the files, or the image or device of the volume, here'),
    with: text('the database that it moves with: its backups lie in the repository of that'),
  },
  'files or a volume, with asset, kind, path and with',
);

export const SiteConfig = closed(
  {
    site: name('the name of this site, as plans name it'),
    listen: listen('where other daemons and orchestrators reach this one'),
    metrics: may(listen('where /metrics is served, to whoever asks (absent: nowhere)')),
    state: path('a directory of this daemon: its key, its audit, what was sealed'),
    runtime: path('a directory that a restart of the host empties: tokens of servers that may run'),
    registry: closed(
      {
        embedded: may(path('the file of a registry of one machine: no witness')),
        etcd: may(list(url('a member of etcd'), 'the members of an etcd cluster', { minItems: 1, maxItems: 9 })),
      },
      'who agrees on the writer: embedded or etcd',
    ),
    peers: may(
      list(
        closed(
          {
            site: name('its name'),
            url: url('where its daemon listens'),
            key: Type.String({
              pattern: '^[A-Za-z0-9_-]{43}$',
              description: 'its public key: 43 characters, as its "site init" printed it',
            }),
          },
          'another site, with site, url and key',
        ),
        'the other sites',
      ),
    ),
    databases: list(Database, 'a list of databases', { minItems: 1 }),
    files: may(list(Files, 'files and volumes that plans move')),
  },
  'the configuration, with site, listen, state, runtime, registry, peers, databases and files',
);

export type SiteConfig = Static<typeof SiteConfig>;
export type DatabaseConfig = SiteConfig['databases'][number];
export type FilesConfig = NonNullable<SiteConfig['files']>[number];
export type PlaceConfig = Static<typeof Place>;
export type PeerConfig = NonNullable<SiteConfig['peers']>[number];

/** SITE_CONFIG with everything that is wrong and where. `name`: the file. */
export function readSiteConfig(source: string, name: string): SiteConfig {
  if (Buffer.byteLength(source) > TEXT_BYTES_MAX) refuse(name, [`it has more than ${TEXT_BYTES_MAX / 1024} KiB`]);
  const yaml = yamlValue(source);
  if (yaml.problems.length > 0)
    refuse(
      name,
      yaml.problems.map(({ line, column, message }) => `line ${line}, column ${column}: ${message}`),
    );
  const told = (at: Path, message: string, part: 'key' | 'value' = 'value'): string => {
    const { line, column } = yaml.positionOf(at, part);
    return `line ${line}, column ${column}: ${message}`;
  };
  const problems = schemaProblems(SiteConfig, yaml.value);
  if (problems.length > 0)
    refuse(
      name,
      problems.map(({ path: at, at: part, message }) => told(at, message.replace(/^the policy\b/, 'the configuration'), part)),
    );
  const config = yaml.value as SiteConfig;
  const findings = findingsOf(config);
  if (findings.length > 0)
    refuse(
      name,
      findings.map(([at, message]) => told(at, `${fieldText(at)}: ${message}`)),
    );
  return config;
}

/** What the schema cannot say. */
function findingsOf({ site, registry, peers = [], databases, files = [] }: SiteConfig): (readonly [Path, string])[] {
  const found: (readonly [Path, string])[] = [];
  if ((registry.embedded === undefined) === (registry.etcd === undefined))
    found.push([['registry'], 'say either embedded or etcd']);
  const sites = [site, ...peers.map((peer) => peer.site)];
  for (const [i, one] of sites.entries())
    if (sites.indexOf(one) !== i) found.push([['peers', i - 1, 'site'], `there are two sites "${one}"`]);
  for (const key of ['asset', 'incarnation', 'dataDirectory'] as const)
    for (const [i, one] of databases.entries())
      if (databases.findIndex((other) => other[key] === one[key]) !== i)
        found.push([['databases', i, key], `two databases have the ${key} "${one[key]}"`]);
  // Each is copied, released and left with its database: two of them would end each other's copy again and again.
  for (const [i, { asset, repository }] of databases.entries()) {
    const other = databases.find((one) => one.repository.location === repository.location)!;
    if (other.asset !== asset)
      found.push([
        ['databases', i, 'repository', 'location'],
        `it is that of "${other.asset}"; each database needs one of its own`,
      ]);
  }
  for (const [i, { lease }] of databases.entries())
    for (const key of ['ttl', 'margin'] as const) {
      const text = lease?.[key];
      const ms = text === undefined ? LEASE_MIN_MS : parseDuration(text)!;
      if (ms < LEASE_MIN_MS || ms > LEASE_MAX_MS) found.push([['databases', i, 'lease', key], 'it must be between 1s and 10m']);
    }
  for (const [i, { candidates = [] }] of databases.entries())
    for (const [n, candidate] of candidates.entries())
      if (!peers.some((peer) => peer.site === candidate))
        found.push([['databases', i, 'candidates', n], `"${candidate}" is none of the peers`]);
  const assets = [...databases, ...files].map(({ asset }) => asset);
  for (const [i, { asset, path: place, with: database }] of files.entries()) {
    if (assets.indexOf(asset) !== databases.length + i) found.push([['files', i, 'asset'], `there are two assets "${asset}"`]);
    if (files.findIndex((other) => other.path === place) !== i) found.push([['files', i, 'path'], 'something else lies there']);
    if (!databases.some((one) => one.asset === database)) found.push([['files', i, 'with'], `there is no database "${database}"`]);
  }
  return found;
}

function refuse(name: string, lines: readonly string[]): never {
  const some = lines.slice(0, PROBLEMS_MAX).map((line) => `\n  ${line}`);
  throw new Fault('SITE_CONFIG', `${name} is not valid:${some.join('')}`);
}
