import { expect, it } from 'vitest';
import { type SiteEvent, SiteEvents, type SiteSight } from '../../../agents/site/site-events.ts';

const facts = { role: 'standby', server: 'stopped', capture: 'none', copy: 'none', seal: 'none', promise: 'none' };
const sight = (troubles: Readonly<Record<string, string>> = {}, more: Partial<SiteSight['facts']> = {}): SiteSight => ({
  facts: { ...facts, ...more },
  troubles: new Map(Object.entries(troubles)),
});
const trouble = (text: string): SiteEvent => ({ what: 'trouble', text });

it('What changes is said once, and nothing of what is not known for a moment', () => {
  const events = new SiteEvents();
  expect(events.of(sight(), 0)).toEqual([{ what: 'role', text: 'closed -> standby' }]);
  expect(events.of(sight({}, { server: 'standby' }), 1)).toEqual([{ what: 'server', text: 'stopped -> standby' }]);
  expect(events.of(sight({}, { server: undefined }), 2)).toEqual([]);
  expect(events.of(sight({}, { server: 'standby' }), 3)).toEqual([]);
});

it('Trouble is said when it has lasted, whatever its words become, and when it is over; what passes is not', () => {
  const events = new SiteEvents();
  events.of(sight(), 0);
  expect(events.of(sight({ copy: 'no answer', gate: 'no renewal' }), 1000)).toEqual([]);
  expect(events.of(sight({ copy: 'no answer for 3 s' }), 4000)).toEqual([]);
  expect(events.of(sight({ copy: 'no answer for 5 s' }), 6000)).toEqual([trouble('copy: no answer for 5 s')]);
  expect(events.of(sight({ copy: 'no answer for 6 s', gate: 'no renewal' }), 7000)).toEqual([]);
  expect(events.of(sight(), 62_000)).toEqual([trouble('copy: over after 61 s')]);
});
