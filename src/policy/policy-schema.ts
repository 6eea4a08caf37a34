// The JSON schema of policy files, for editors: completion, descriptions and red lines while one types.

import { PolicyDocument } from './policy-document.ts';

/** The text of policies/policy.schema.json. */
export function policySchemaText(): string {
  const schema = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Holdfast policy',
    ...PolicyDocument,
  };
  return `${JSON.stringify(schema, null, 2)}\n`;
}
