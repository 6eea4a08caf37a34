// The JSON schema of plan files, for editors.

import { schemaText } from '../policy/schema-text.ts';
import { PlanDocument } from './plan-document.ts';

/** The text of policies/plan.schema.json, as the formatter of this project leaves it. */
export function planSchemaText(): string {
  return schemaText('Holdfast plan', PlanDocument);
}
