// The tag that names what a snapshot is a copy of: "copied-from=<repository>/<snapshot>".

const PREFIX = 'copied-from=';

/** Both in hex. */
export function originTag(repositoryId: string, snapshotId: string): string {
  return `${PREFIX}${repositoryId}/${snapshotId}`;
}

export function isOriginTag(tag: string): boolean {
  return tag.startsWith(PREFIX);
}
