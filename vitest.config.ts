import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    testTimeout: 120_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
    // As bin/node says.
    execArgv: ['--wasm-wrapper-tiering-budget=1000000000'],
  },
});
