// The systemd units: accepted by systemd itself, hardened, and starting what exists.

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { SiteConfig } from '../../agents/site/site-config.ts';
import { SITE_STATE, siteConfigExample } from '../../agents/site/site-config-example.ts';
import { parseArguments } from '../../src/cli/parse.ts';
import { VERBS } from '../../src/cli/verbs.ts';
import { parseLocation } from '../../src/store/location.ts';
import { CHECKOUT, readSourceFiles } from '../architecture/source-files.ts';
import { scratchDirectory } from '../support/scratch.ts';

const OPS = join(CHECKOUT, 'ops');
const UNITS = ['holdfast', 'holdfast-agent', 'holdfast-site'] as const;
/** Of 100. The agent reads every file of the host, the daemon of a site runs servers as their accounts, and that shows. */
const EXPOSURE_MAX = { holdfast: 15, 'holdfast-agent': 35, 'holdfast-site': 40 };
const textOf = (name: string): string => readFileSync(join(OPS, 'systemd', `${name}.service`), 'utf8');
const hasSystemd = spawnSync('systemd-analyze', ['--version']).status === 0;

/** As installed here: systemd wants the program to be there. */
function installed(name: string): string {
  const path = join(scratchDirectory(), `${name}.service`);
  writeFileSync(path, textOf(name).replaceAll('/opt/holdfast/', `${CHECKOUT}/`));
  return path;
}

describe.each(UNITS)('%s.service', (name) => {
  it.skipIf(!hasSystemd && process.env.CI !== 'true')('is accepted by systemd without a word', () => {
    const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--recursive-errors=no', installed(name)], {
      encoding: 'utf8',
    });
    expect({ status, output: stdout + stderr }).toEqual({ status: 0, output: '' });
  });

  it.skipIf(!hasSystemd && process.env.CI !== 'true')('leaves little to whoever breaks in', () => {
    const args = ['security', '--offline=true', '--no-pager', `--threshold=${EXPOSURE_MAX[name]}`, installed(name)];
    const { status, stdout } = spawnSync('systemd-analyze', args, { encoding: 'utf8' });
    expect(status, stdout.split('\n').slice(-3).join('\n')).toBe(0);
  });

  it('starts a verb with options that it has', () => {
    const [, command] = /^ExecStart=\/opt\/holdfast\/bin\/holdfast (.+)$/m.exec(textOf(name))!;
    expect(() => parseArguments(command!.split(' '), VERBS)).not.toThrow();
  });

  it('lets the just-in-time compiler live, and gives an orderly stop its time', () => {
    expect(textOf(name)).not.toMatch(/^MemoryDenyWriteExecute=/m);
    expect(textOf(name)).toMatch(/^KillMode=mixed$/m);
    expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(textOf(name))?.[1])).toBeGreaterThanOrEqual(30);
  });
});

describe('holdfast-site.service', () => {
  const setting = (key: string): string => new RegExp(`^${key}=(.*)$`, 'm').exec(textOf('holdfast-site'))?.[1] ?? '';
  const example = parse(siteConfigExample({ site: 'a', state: SITE_STATE })) as SiteConfig;

  it('keeps what "holdfast site init" writes by itself: state, tokens, data directory, socket and repository', () => {
    expect(`/var/lib/${setting('StateDirectory')}`).toBe(SITE_STATE);
    expect(`/run/${setting('RuntimeDirectory')}`).toBe(example.runtime);
    const writable = setting('ReadWritePaths')
      .split(' ')
      .map((path) => path.replace(/^-/, ''));
    const { dataDirectory, repository, connection } = example.databases[0]!;
    const socket = /host=(\S+)/.exec(connection)![1]!;
    for (const place of [dirname(dataDirectory), repository.location, socket])
      expect(
        writable.some((path) => place === path || place.startsWith(`${path}/`)),
        place,
      ).toBe(true);
  });

  it('lets it start servers of other accounts, and see whether they still run', () => {
    const capabilities = setting('CapabilityBoundingSet').split(' ');
    for (const one of ['CAP_SETUID', 'CAP_SETGID', 'CAP_KILL', 'CAP_SYS_PTRACE']) expect(capabilities).toContain(one);
    expect(textOf('holdfast-site')).not.toMatch(/^ProtectProc=/m);
    expect(setting('RuntimeDirectoryMode')).toBe('0755');
    // A server that stops in order writes a checkpoint first.
    expect(Number(setting('TimeoutStopSec'))).toBeGreaterThanOrEqual(300);
  });
});

type Service = {
  image?: string;
  environment?: Record<string, string>;
  ports?: string[];
  volumes?: string[];
  depends_on?: Record<string, unknown>;
  command?: string[];
  security_opt?: string[];
  networks?: string[];
};

describe('ops/compose.yaml', () => {
  const compose = parse(readFileSync(join(OPS, 'compose.yaml'), 'utf8')) as {
    services: Record<string, Service>;
    volumes: Record<string, unknown>;
    networks: Record<string, unknown>;
  };
  const services = Object.entries(compose.services);

  it('starts the service, an S3 server with its bucket, and a PostgreSQL', () => {
    expect(Object.keys(compose.services).sort()).toEqual(['bucket', 'postgres', 's3', 'service']);
  });

  it('refers only to volumes, networks and services that it has', () => {
    for (const [name, { volumes = [], networks = [], depends_on = {} }] of services) {
      for (const volume of volumes) expect(Object.keys(compose.volumes), name).toContain(volume.split(':')[0]);
      for (const network of networks) expect(Object.keys(compose.networks), name).toContain(network);
      for (const other of Object.keys(depends_on)) expect(Object.keys(compose.services), name).toContain(other);
    }
  });

  it('gives the service what it knows, where it looks for it, and only that', () => {
    const { environment = {}, ports = [], volumes = [] } = compose.services['service']!;
    const containerfile = readFileSync(join(OPS, 'Containerfile'), 'utf8');
    const set = Object.fromEntries(
      [...containerfile.matchAll(/\b(HOLDFAST_\w+)=(\S+)/g)].map(([, name, value]) => [name!, value!]),
    );
    const sources = readSourceFiles('src');
    for (const name of [...Object.keys(environment), ...Object.keys(set)])
      expect(
        sources.some(({ text }) => text.includes(name)),
        name,
      ).toBe(true);
    // The store is the server that stands beside it, by an address that agents on other hosts reach too; the bucket is the one that is made.
    const s3 = compose.services['s3']!;
    const address = s3.ports![0]!.slice(0, -':9000'.length);
    expect(address).toBe(`\${S3_ADDRESS:?put S3_ADDRESS into compose.env}`);
    expect(readFileSync(join(OPS, 'compose.env.example'), 'utf8')).toMatch(/^S3_ADDRESS=$/m);
    const location = parseLocation(environment['HOLDFAST_STORE']!.replace(address, '192.0.2.10:9000'));
    if (location.kind !== 's3') throw new Error('the store is a directory');
    expect(location.endpoint).toBe('http://192.0.2.10:9000');
    const making = compose.services['bucket']!.command!.join('\n');
    expect(making).toContain('mc alias set store http://s3:9000 ');
    expect(making).toContain(`store/${location.bucket}\n`);
    // It listens at the port that is offered, which is the one that others are told of.
    const port = set['HOLDFAST_LISTEN']!.split(':')[1]!;
    expect(ports).toEqual([`127.0.0.1:${port}:${port}`]);
    expect(containerfile).toContain(`EXPOSE ${port}\n`);
    expect(environment['HOLDFAST_PUBLIC_URL']).toContain(`:${port}`);
    // Its home is kept, and its cache in it.
    expect(volumes).toEqual([`home:${set['HOLDFAST_HOME']}`]);
    const command = JSON.parse(/^CMD (.*)$/m.exec(containerfile)![1]!) as string[];
    expect(() => parseArguments(command, VERBS)).not.toThrow();
  });

  it('offers ports at one address only, pins every image, and lets nobody gain rights', () => {
    for (const [name, { ports = [], image, security_opt = [] }] of services) {
      for (const port of ports) expect(port, name).toMatch(name === 's3' ? /^\$\{S3_ADDRESS:/ : /^127\.0\.0\.1:/);
      if (name !== 'service') expect(image, name).toMatch(/:(?:RELEASE\.\d{4}|\d)/);
      if (name !== 'bucket') expect(security_opt, name).toContain('no-new-privileges:true');
    }
  });

  it('has no secret in it, and asks for every variable that the example has', () => {
    const text = readFileSync(join(OPS, 'compose.yaml'), 'utf8');
    const example = readFileSync(join(OPS, 'compose.env.example'), 'utf8');
    const asked = [...text.matchAll(/(?<!\$)\$\{([A-Z0-9_]+)/g)].map(([, name]) => name!);
    const given = [...example.matchAll(/^([A-Z0-9_]+)=/gm)].map(([, name]) => name!);
    expect([...new Set(asked)].sort()).toEqual(given.sort());
    expect(example).toMatch(/^S3_PASSWORD=$/m);
  });
});
