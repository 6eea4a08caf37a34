// The service for one test.

import { onTestFinished } from 'vitest';
import type { ApiOptions } from '../../src/api/app.ts';
import { ServiceUnderTest } from './service-under-test.ts';

/** Closed when the test is over. */
export async function newService(options: Partial<ApiOptions> = {}): Promise<ServiceUnderTest> {
  const service = await ServiceUnderTest.start(options);
  onTestFinished(() => service.close());
  return service;
}
