import type { Approver } from '../fleet.ts'
import type { Secrets } from '../rotating-secret.ts'
import type { Approval } from './approval.ts'
import { signLink } from './approval-link.ts'
import type { Approvers } from './approvers.ts'

export interface LinkPorts {
  readonly approvers: Approvers
  /** Links are signed with it. */
  readonly linkSecrets: () => Promise<Secrets>
  /** Of the page, to which the end of a link is added: `https://…/approve/`. */
  readonly approvalUrl: string
}

/** Sends each of these people a link of his own. Rejects with ApproversUnavailable. */
export async function sendLinks(
  { id: approval, expiresAt, judged }: Approval,
  summary: string,
  people: readonly Approver[],
  { approvers, linkSecrets, approvalUrl }: LinkPorts,
): Promise<void> {
  const secrets = await linkSecrets()
  for (const { name: approver } of people) {
    const link = `${approvalUrl}${signLink({ approval, approver, expiresAt, judged }, secrets)}`
    await approvers.send({ approver, link, summary })
  }
}
