import { VerifyProgress } from './verify-report.ts';

export class RepairProgress {
  phase: 'looking' | 'reading packs' | 'mending' | 'done' = 'looking';
  /** Of the verification that comes first. */
  readonly verify = new VerifyProgress();

  get packsTotal(): number {
    return this.verify.packsTotal;
  }

  get packsDone(): number {
    return this.verify.packsDone;
  }

  get bytesTotal(): number {
    return this.verify.bytesTotal;
  }

  get bytesDone(): number {
    return this.verify.bytesDone;
  }
}
