export const RUN_STATES = ['queued', 'running', 'succeeded', 'warned', 'failed', 'canceled'] as const;
export type RunState = (typeof RUN_STATES)[number];

export function isOver(state: RunState): boolean {
  return state !== 'queued' && state !== 'running';
}
