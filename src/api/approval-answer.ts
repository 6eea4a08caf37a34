// What is answered when a second person has to agree.

import { Type } from '../base/type.ts';
import { Approval } from '../model/approval.ts';
import type { AnswerSchema } from './route.ts';

export const ReasonBody = Type.Object(
  { reason: Type.String({ minLength: 1, maxLength: 1000, description: 'for the one who approves, and for the audit' }) },
  { additionalProperties: false, $id: 'Reason' },
);

export const approvalAnswer: Readonly<Record<202, AnswerSchema>> = {
  202: { description: 'Nothing is changed yet: it waits for the approval of a second person', schema: Approval },
};
