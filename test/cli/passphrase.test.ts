import { execFileSync, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { initialised, newHoldfast } from './holdfast.ts';

const NONE = { HOLDFAST_PASSPHRASE_FILE: undefined };

describe('the passphrase', () => {
  it('is not asked for where there is no terminal: the command ends at once', () => {
    const { code, status, line } = initialised().fault(['snapshots'], { variables: NONE });
    expect({ code, status }).toEqual({ code: 'KEY_PASSPHRASE_MISSING', status: 2 });
    expect(line.hint).toContain('HOLDFAST_PASSPHRASE_FILE');
  });

  it('comes from a file that an option or a variable names, or from a variable', () => {
    const holdfast = initialised();
    const file = holdfast.secret('same', 'the passphrase');
    const wrong = holdfast.secret('wrong', 'not it');
    expect(holdfast.run(['snapshots', '--passphrase-file', file], { variables: { HOLDFAST_PASSPHRASE_FILE: wrong } }).status).toBe(
      0,
    );
    expect(holdfast.run(['snapshots'], { variables: { ...NONE, HOLDFAST_PASSPHRASE: 'the passphrase' } }).status).toBe(0);
    expect(
      holdfast.run(['snapshots'], { variables: { HOLDFAST_PASSPHRASE_FILE: file, HOLDFAST_PASSPHRASE: 'not it' } }).status,
    ).toBe(0);
  });

  it.each([
    ['no line break', 'the passphrase', 0],
    ['a final line break', 'the passphrase\n', 0],
    ['a final line break of DOS', 'the passphrase\r\n', 0],
    ['two final line breaks', 'the passphrase\n\n', 1],
    ['a blank at the end', 'the passphrase \n', 1],
  ])('with %s ends with %j -> %i', (_, text, status) => {
    const holdfast = initialised();
    const path = holdfast.secret('other', '');
    writeFileSync(path, text);
    expect(holdfast.run(['snapshots'], { variables: { HOLDFAST_PASSPHRASE_FILE: path } }).status).toBe(status);
  });

  it('may come out of a pipe, which can be read only once', () => {
    const holdfast = initialised();
    const pipe = holdfast.path('pipe');
    execFileSync('mkfifo', [pipe]);
    const writer = spawn('sh', ['-c', 'echo "the passphrase" >"$0"', pipe], { stdio: 'ignore' });
    expect(holdfast.run(['snapshots'], { variables: { HOLDFAST_PASSPHRASE_FILE: pipe } }).status).toBe(0);
    writer.kill();
  });

  it('that is wrong is a fault of its own, and says nothing of what was tried', () => {
    const holdfast = initialised();
    const variables = { HOLDFAST_PASSPHRASE_FILE: holdfast.secret('wrong', 'hunter2') };
    const { status, stdout, stderr } = holdfast.run(['snapshots'], { variables });
    expect(status).toBe(1);
    expect(stderr).toContain('[KEY_PASSPHRASE_WRONG]');
    expect(stdout + stderr).not.toContain('hunter2');
  });

  it.each([
    ['is not there', undefined],
    ['is empty', '\n'],
    ['is far too large', 'x'.repeat(70_000)],
  ])('file that %s is refused', (_, text) => {
    const holdfast = newHoldfast();
    const path = holdfast.path('file');
    if (text !== undefined) holdfast.file('file', text);
    expect(holdfast.fault(['init'], { variables: { HOLDFAST_PASSPHRASE_FILE: path } })).toMatchObject({
      code: 'KEY_PASSPHRASE_MISSING',
      status: 2,
    });
  });

  it('may be any bytes', () => {
    const holdfast = newHoldfast();
    const path = holdfast.file('binary', Buffer.from([0, 255, 10, 13, 128, 1, 10]));
    holdfast.ok(['init', '--passphrase-file', path]);
    const other = holdfast.file('other', Buffer.from([0, 254, 10, 13, 128, 1, 10]));
    expect(holdfast.run(['snapshots', '--passphrase-file', path]).status).toBe(0);
    expect(holdfast.run(['snapshots', '--passphrase-file', other]).status).toBe(1);
  });
});

describe('the location', () => {
  it('must be given', () => {
    expect(newHoldfast().fault(['snapshots'], { variables: { HOLDFAST_REPO: undefined } })).toMatchObject({
      code: 'USAGE',
      status: 2,
    });
  });

  it('must be one', () => {
    const holdfast = newHoldfast();
    expect(holdfast.fault(['init', '--repo', 'ftp://host/x'])).toMatchObject({ code: 'STORE_BAD_LOCATION', status: 2 });
    expect(holdfast.fault(['init', '--repo', 's3+https://user:secret@host/bucket']).line.message).not.toContain('secret');
    expect(holdfast.fault(['init', '--repo', 's3+http://localhost:1/bucket'])).toMatchObject({ code: 'STORE_DENIED', status: 1 });
  });
});
