import { readFileSync } from 'node:fs';

/** "holdfast 0.1.0": also what snapshots name as the program that made them. */
export function versionText(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    readonly version: string;
  };
  return `holdfast ${version}`;
}
