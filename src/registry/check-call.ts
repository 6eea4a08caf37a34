import { invariant } from '../base/invariant.ts';
import { REGISTRY_KEY, REGISTRY_KEY_CHARS_MAX, REGISTRY_VALUE_BYTES_MAX } from './registry.ts';

/** Both drivers hold callers to the same limits. */
export function checkCall(key: string, value = ''): void {
  invariant(REGISTRY_KEY.test(key) && key.length <= REGISTRY_KEY_CHARS_MAX, `"${key}" is a key of a registry`);
  invariant(Buffer.byteLength(value) <= REGISTRY_VALUE_BYTES_MAX, `the value of "${key}" is small enough for a registry`);
}
