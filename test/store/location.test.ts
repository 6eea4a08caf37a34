import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { absoluteLocation, formatLocation, parseLocation } from '../../src/store/location.ts';

describe('a location', () => {
  it.each([['/var/backup'], ['relative/dir'], ['.'], ['./s3'], ['a b'], ['C:x']])('%j is a directory', (path) => {
    expect(parseLocation(path)).toEqual({ kind: 'directory', path });
  });

  it.each([
    ['s3+http://127.0.0.1:8080/bucket', 'http://127.0.0.1:8080', 'bucket', ''],
    ['s3+https://s3.example.org/bucket/', 'https://s3.example.org', 'bucket', ''],
    ['s3+https://s3.example.org:443/my-bucket/pre/fix.1', 'https://s3.example.org', 'my-bucket', 'pre/fix.1'],
    ['S3+HTTPS://S3.Example.org/bucket/Prefix', 'https://s3.example.org', 'bucket', 'Prefix'],
    ['s3+http://[::1]:8080/bucket/p/', 'http://[::1]:8080', 'bucket', 'p'],
  ])('%j is a bucket', (text, endpoint, bucket, prefix) => {
    const location = parseLocation(text);
    expect(location).toEqual({ kind: 's3', endpoint, bucket, prefix });
    expect(parseLocation(formatLocation(location))).toEqual(location);
  });

  it.each([
    [''],
    ['a\0b'],
    [Buffer.from([0x2f, 0xb1, 0xb8]).toString()],
    ['s3:bucket/prefix'],
    ['s3+http:bucket'],
    ['s3://bucket/prefix'],
    ['http://host/bucket'],
    ['file:///tmp'],
    ['s3+http:///bucket'],
    ['s3+http://host'],
    ['s3+http://host/'],
    ['s3+http://host/a'],
    ['s3+http://host/-bucket'],
    ['s3+http://host/bucket//p'],
    ['s3+http://host/bucket/p//'],
    ['s3+http://host/bucket/../other'],
    ['s3+http://host/bucket/p q'],
    ['s3+http://host/bucket/p~'],
    ['s3+http://host/bucket?x'],
    ['s3+http://host/bucket#x'],
    ['s3+http://host:port/bucket'],
    ['s3+http://ho st/bucket'],
    [`s3+http://host/bucket/${'p'.repeat(513)}`],
  ])('%j is none', (text) => {
    expect(() => parseLocation(text)).toThrow(expect.objectContaining({ code: 'STORE_BAD_LOCATION' }));
  });

  it('never holds credentials, and the fault does not repeat them', () => {
    for (const text of ['s3+http://key:hunter2@host/bucket', 's3+https://hunter2@host/bucket/x@y']) {
      expect(() => parseLocation(text)).toThrow(
        expect.objectContaining({ code: 'STORE_BAD_LOCATION', message: expect.not.stringContaining('hunter2') }),
      );
    }
  });
});

it('a directory that is remembered is the same wherever the program is started next', () => {
  expect(absoluteLocation('store/a')).toBe(join(process.cwd(), 'store/a'));
  expect(absoluteLocation('/srv/store')).toBe('/srv/store');
  expect(absoluteLocation('s3+https://host/bucket/prefix')).toBe('s3+https://host/bucket/prefix');
});
