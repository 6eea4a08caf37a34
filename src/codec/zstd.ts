// zstd with contexts and buffers that are used again and again. The Node binary exports its own libzstd: called directly, a context
// survives from block to block and the result lands in our buffer (measured: 1.3 times the speed of zlib.zstdCompressSync on 1 MiB
// blocks, and no garbage of the size of the data). Where the symbols are missing, zlib does it. Either reads what the other wrote.

import { type CFunction, cLibrary } from '../base/ffi.ts';
import { invariant } from '../base/invariant.ts';

/** Node's, when it is asked for. */
const nodeZlib = () => process.getBuiltinModule('node:zlib');

const ZSTD_C_COMPRESSION_LEVEL = 100;
/** Of streamed frames; no writer of ours uses a larger window than 8 MiB. */
const WINDOW_LOG_MAX = 23;

/** 'plain': zlib, even where the symbols are there. */
export type ZstdDriver = 'plain' | undefined;

type Bindings = { readonly create: CFunction; readonly run: CFunction; readonly free: CFunction; readonly isError: CFunction };

function bindings(driver: ZstdDriver, create: string, run: string, free: string): Bindings | undefined {
  if (driver === 'plain') return undefined;
  const functions = [create, run, free, 'uint32_t ZSTD_isError(size_t)'].map((prototype) => cLibrary?.bind(prototype));
  if (functions.some((f) => f === undefined)) return undefined;
  const [c, r, f, e] = functions as CFunction[];
  return { create: c!, run: r!, free: f!, isError: e! };
}

/** Upper bound of the compressed size of `length` bytes. */
export function compressBound(length: number): number {
  return length + (length >>> 8) + 1024;
}

export class Compressor {
  readonly #native: Bindings | undefined;
  readonly #setParameter: CFunction | undefined;
  #level: number;
  #context: unknown;

  constructor(level: number, driver?: ZstdDriver) {
    this.#level = level;
    this.#native = bindings(
      driver,
      'void* ZSTD_createCCtx()',
      'size_t ZSTD_compress2(void*, void*, size_t, void*, size_t)',
      'size_t ZSTD_freeCCtx(void*)',
    );
    this.#setParameter = cLibrary?.bind('size_t ZSTD_CCtx_setParameter(void*, int, int)');
    if (this.#native === undefined || this.#setParameter === undefined) {
      this.#native = undefined;
      return;
    }
    this.#context = this.#native.create();
    this.level = level;
  }

  set level(level: number) {
    this.#level = level;
    if (this.#context !== undefined) this.#setParameter?.(this.#context, ZSTD_C_COMPRESSION_LEVEL, level);
  }

  /** Compresses `source` into `target` (at least compressBound(source.length) bytes). Answers the compressed length. */
  compress(target: Uint8Array, source: Uint8Array): number {
    if (this.#native !== undefined) {
      invariant(this.#context !== undefined, 'a closed compressor is not used');
      const length = Number(this.#native.run(this.#context, target, target.length, source, source.length));
      invariant(!this.#native.isError(length) && length <= target.length, 'zstd compresses into a buffer of its own bound');
      return length;
    }
    const zlib = nodeZlib();
    const params = { [zlib.constants.ZSTD_c_compressionLevel]: this.#level };
    const result = zlib.zstdCompressSync(source, { params, chunkSize: Math.max(64, compressBound(source.length)) });
    target.set(result);
    return result.length;
  }

  /** As `compress`, on another thread where that is possible. Until it has settled neither buffer is touched and nothing else is asked of
   *  this compressor, not even to close. */
  async compressAside(target: Uint8Array, source: Uint8Array): Promise<number> {
    const native = this.#native;
    if (native === undefined) return this.compress(target, source);
    invariant(this.#context !== undefined, 'a closed compressor is not used');
    const length = await new Promise<number>((resolve, reject) => {
      native.run.async(this.#context, target, target.length, source, source.length, (error: unknown, result: number | bigint) =>
        error === null ? resolve(Number(result)) : reject(error),
      );
    });
    invariant(!native.isError(length) && length <= target.length, 'zstd compresses into a buffer of its own bound');
    return length;
  }

  close(): void {
    if (this.#context !== undefined) this.#native?.free(this.#context);
    this.#context = undefined;
  }
}

export class Decompressor {
  readonly #native: Bindings | undefined;
  #context: unknown;

  constructor(driver?: ZstdDriver) {
    this.#native = bindings(
      driver,
      'void* ZSTD_createDCtx()',
      'size_t ZSTD_decompressDCtx(void*, void*, size_t, void*, size_t)',
      'size_t ZSTD_freeDCtx(void*)',
    );
    this.#context = this.#native?.create();
  }

  /** Decompresses the frame `source` into `target`; true when the frame is whole, valid and fills `target` exactly. */
  decompress(target: Uint8Array, source: Uint8Array): boolean {
    if (source.length === 0) return false;
    if (this.#native !== undefined) {
      invariant(this.#context !== undefined, 'a closed decompressor is not used');
      const length = this.#native.run(this.#context, target, target.length, source, source.length);
      return !this.#native.isError(length) && Number(length) === target.length;
    }
    try {
      const zlib = nodeZlib();
      const options = {
        // Says how much of the source was a frame: zlib takes no notice of what follows.
        info: true,
        maxOutputLength: Math.max(1, target.length),
        chunkSize: Math.max(64, target.length + 1),
        params: { [zlib.constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX },
      };
      const { buffer, engine } = zlib.zstdDecompressSync(source, options) as unknown as {
        readonly buffer: Uint8Array;
        readonly engine: { readonly bytesWritten: number };
      };
      if (buffer.length !== target.length || engine.bytesWritten !== source.length) return false;
      target.set(buffer);
      return true;
    } catch {
      return false;
    }
  }

  close(): void {
    if (this.#context !== undefined) this.#native?.free(this.#context);
    this.#context = undefined;
  }
}
