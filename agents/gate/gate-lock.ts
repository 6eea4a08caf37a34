import Database from 'better-sqlite3';
import { Fault } from '../../src/base/faults.ts';

/** One gate for one data directory. A lock of the kernel: it ends with the process that holds it, however that dies. Answers what gives it back. */
export function lockGate(path: string): () => void {
  const lock = new Database(path, { timeout: 0 });
  try {
    lock.exec('BEGIN EXCLUSIVE');
    return () => {
      lock.close();
    };
  } catch (cause) {
    lock.close();
    throw new Fault('GATE_BUSY', `Another gate holds ${path}`, { cause });
  }
}
