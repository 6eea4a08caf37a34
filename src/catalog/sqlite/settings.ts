import type { SettingTable } from '../catalog.ts';
import type { Executor } from './executor.ts';

const GET = 'SELECT value FROM settings WHERE name = ?';
const SET = 'INSERT INTO settings (name, value) VALUES (@name, @value) ON CONFLICT DO UPDATE SET value = @value';

export function settingTable(executor: Executor): SettingTable {
  return {
    get: (name) => executor.read((sql) => sql(GET).get(name)?.['value'] as string | undefined),
    set: (name, value) => executor.write((sql) => void sql(SET).run({ name, value })),
  };
}
