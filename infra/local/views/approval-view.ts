import type { Ledger } from '../../../functions/lib/ledger/ledger.ts'
import type { Secrets } from '../../../functions/lib/rotating-secret.ts'
import { type Approval, approversOf, decisionBy, outcomeOf } from '../../../functions/lib/unlock/approval/approval.ts'
import { signLink } from '../../../functions/lib/unlock/approval/approval-link.ts'
import {
  type DecisionAsked,
  type DecisionPorts,
  type NotTaken,
  recordDecision,
} from '../../../functions/lib/unlock/approval/record-decision.ts'

/** What people are asked about, for whoever sits at this machine. */
export interface ApprovalLine extends Omit<Approval, 'token' | 'version' | 'plan' | 'closed'> {
  /** Who may decide, and has not. */
  readonly people: readonly {
    readonly name: string
    /** Of the page on which that person decides, from the console's address. */
    readonly page: string
  }[]
  /** `open` while people are waited for. */
  readonly outcome: 'open' | 'approved' | 'denied'
}

export interface ApprovalViewsOptions extends DecisionPorts {
  readonly ledger: DecisionPorts['ledger'] & Pick<Ledger, 'listApprovals'>
  /** Links are signed with it. */
  readonly linkSecrets: () => Promise<Secrets>
}

/** Where the page of `approve` is, from the console's address. */
export const approvalPath = '/approve/'

/** Approvals for whoever sits at this machine: they may decide as anybody. Methods may reject with LedgerUnavailable. */
export class ApprovalViews {
  private readonly options: ApprovalViewsOptions

  constructor(options: ApprovalViewsOptions) {
    this.options = options
  }

  /** Those that people are waited for. What has waited longest comes first. */
  async list(): Promise<ApprovalLine[]> {
    const approvals = await this.options.ledger.listApprovals()
    const lines = await Promise.all(approvals.map((approval) => this.lineOf(approval)))
    return lines.sort((a, b) => a.askedAt - b.askedAt)
  }

  /** Undefined where nobody was asked. */
  async get(unlock: string): Promise<ApprovalLine | undefined> {
    const approval = await this.options.ledger.readApproval(unlock)
    return approval && this.lineOf(approval)
  }

  async decide(asked: DecisionAsked): Promise<ApprovalLine | NotTaken> {
    const made = await recordDecision(asked, this.options)
    return 'outcome' in made ? made : this.lineOf(made)
  }

  private async lineOf(approval: Approval): Promise<ApprovalLine> {
    const { token: _, version: __, plan: ___, closed, ...line } = approval
    const { unlock, requestedBy, expiresAt, judged } = approval
    const secrets = await this.options.linkSecrets()
    const outcome = outcomeOf(approval)
    const isOpen = outcome === 'open' && !closed
    const others = isOpen ? approversOf(requestedBy, this.options.fleet.locks.approvers) : []
    const undecided = others.filter(({ name }) => !decisionBy(name, approval))
    const people = undecided.map(({ name }) => {
      const token = signLink({ unlock, approver: name, expiresAt, judged }, secrets)
      return { name, page: `${approvalPath}${token}` }
    })
    return { ...line, people, outcome }
  }
}
