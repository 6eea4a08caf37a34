import { describe, expect, it } from 'vitest';
import { readSiteConfig } from '../../../agents/site/site-config.ts';
import { siteConfigExample } from '../../../agents/site/site-config-example.ts';

const example = siteConfigExample({ site: 'a', state: '/var/lib/holdfast-site' });

describe('The configuration of a site daemon', () => {
  it('is valid as "site init" writes it, and with what it shows in comments', () => {
    expect(readSiteConfig(example, 'a.yaml')).toMatchObject({ site: 'a', databases: [{ asset: 'pg/portal' }] });
    const full = example
      .replace('peers: []', 'peers:')
      .replace(/^# {2}- \{ site: b.*$/m, `  - { site: b, url: http://10.0.1.1:7410, key: ${'k'.repeat(43)} }`)
      .replace(/^ {4}# (copyFrom|candidates|lease|onLeaseLoss| {2}location| {2}passphraseFile)/gm, '    $1');
    expect(readSiteConfig(full, 'a.yaml').databases[0]).toMatchObject({
      candidates: ['b'],
      lease: { ttl: '10s' },
      onLeaseLoss: 'stop',
      copyFrom: { passphraseFile: '/etc/holdfast/passphrase' },
    });
  });

  it('is refused with everything that is wrong and where', () => {
    const wrong = example
      .replace('listen: 127.0.0.1:7410', 'listen: somewhere')
      .replace('incarnation: portal-1', 'incarnations: portal-1')
      .replace('runtime: /run', 'runtime: run');
    let message = '';
    try {
      readSiteConfig(wrong, 'a.yaml');
    } catch (error) {
      message = (error as Error).message;
      expect(error).toMatchObject({ code: 'SITE_CONFIG' });
    }
    expect(message).toMatch(/^a\.yaml is not valid:/);
    for (const what of ['line 4, column 9: listen', 'incarnations', 'runtime']) expect(message).toContain(what);
  });

  it('is refused when its parts contradict each other', () => {
    const told = (text: string): string => {
      try {
        readSiteConfig(text, 'a.yaml');
        return '';
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(told(example.replace('registry:\n', 'registry:\n  embedded: /x\n'))).toContain('either embedded or etcd');
    // The register holds no others: what was written there could not be read again.
    for (const lease of ['ttl: 0s', 'ttl: 1h', 'ttl: 10s, margin: 11m', 'ttl: 10s, margin: 0s'])
      expect(told(example.replace('    # lease: { ttl: 10s, margin: 10s }', `    lease: { ${lease} }`))).toContain(
        'between 1s and 10m',
      );
    expect(told(example.replace('    # candidates: [b]', '    candidates: [b]'))).toContain('"b" is none of the peers');
    const database = /^ {2}- asset: pg\/portal[\s\S]*?passphraseFile.*\n/m.exec(example)![0];
    const second = database.replaceAll(/pg\/portal|portal-1|15\/main/g, (of) => `${of}-2`);
    expect(told(example.replace(database, database + second))).toContain(
      'it is that of "pg/portal"; each database needs one of its own',
    );
    const own = second.replace('/srv/holdfast/repository', '/srv/holdfast/repository-2');
    expect(told(example.replace(database, database + own))).toBe('');
    const peer = `[{ site: a, url: http://10.0.0.1:7410, key: ${'k'.repeat(43)} }]`;
    expect(told(example.replace('peers: []', `peers: ${peer}`))).toContain('two sites "a"');
  });
});
