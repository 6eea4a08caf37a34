import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    testTimeout: 300_000,
    hookTimeout: 300_000,
    maxWorkers: 2,
    // Thousands of tests with real servers, kills and full disks on two busy cores: one that fails is tried once more, and the summary names it,
    // since a test that needs that is a defect to be mended.
    retry: process.env.CI === 'true' ? 1 : 0,
    // As bin/node says.
    execArgv: ['--wasm-wrapper-tiering-budget=1000000000'],
  },
});
