// The JSON schema of policy files, for editors.

import { PolicyDocument } from './policy-document.ts';
import { schemaText } from './schema-text.ts';

/** The text of policies/policy.schema.json, as the formatter of this project leaves it. */
export function policySchemaText(): string {
  return schemaText('Holdfast policy', PolicyDocument);
}
