// Loads the kernel (kernel/chunker.ts, compiled to kernel/chunker.wasm). Synchronous on purpose: it is under 4 KB, and a worker wants
// to begin. The compiled module is kept for the thread; each scanner has a memory of its own.

import { readFileSync } from 'node:fs';
import type { Scanner } from './scanner.ts';

// As much of WebAssembly as is used here: its types belong to the browser's library, which this program does not have.
type Module = { readonly module: unique symbol };
type Memory = { readonly buffer: ArrayBuffer };
declare const WebAssembly: {
  validate(bytes: Uint8Array): boolean;
  readonly Module: new (bytes: Uint8Array) => Module;
  readonly Memory: new (pages: { readonly initial: number; readonly maximum: number }) => Memory;
  readonly Instance: new (module: Module, imports: { readonly env: { readonly memory: Memory } }) => { readonly exports: unknown };
};

type Kernel = {
  find(from: number, to: number, multiplier: number, least: number): number;
  isZero(from: number, to: number): number;
  brokenPage(from: number, to: number, pageBytes: number, block: number): number;
};

/** Where the window begins in the memory: behind the kernel's own room, on a page boundary so that O_DIRECT can read into it. */
const WINDOW_AT = 4096;
const WASM_PAGE_BYTES = 65536;

/** The smallest module that only an engine with SIMD accepts: it declares one function type, () -> v128. */
const SIMD_PROBE = Uint8Array.of(0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7b);

let compiled: Module | undefined;

/** Undefined where WebAssembly has no SIMD. A kernel that is missing or damaged throws: that is a broken installation. */
export function openSimdScanner(windowBytes: number): Scanner | undefined {
  if (compiled === undefined) {
    if (typeof WebAssembly === 'undefined' || !WebAssembly.validate(SIMD_PROBE)) return undefined;
    compiled = new WebAssembly.Module(readFileSync(new URL('./kernel/chunker.wasm', import.meta.url)));
  }
  const pages = Math.ceil((WINDOW_AT + windowBytes) / WASM_PAGE_BYTES);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const kernel = new WebAssembly.Instance(compiled, { env: { memory } }).exports as Kernel;
  return {
    kind: 'simd',
    window: new Uint8Array(memory.buffer, WINDOW_AT, windowBytes),
    findCandidate: (from, to, multiplier, least) => kernel.find(WINDOW_AT + from, WINDOW_AT + to, multiplier, least) - WINDOW_AT,
    isZero: (start, end) => kernel.isZero(WINDOW_AT + start, WINDOW_AT + end) !== 0,
    brokenPage: (start, end, pageBytes, block) =>
      kernel.brokenPage(WINDOW_AT + start, WINDOW_AT + end, pageBytes, block) - WINDOW_AT,
  };
}
