import {
  type Approval,
  approversOf,
  decisionBy,
  outcomeOf,
  type PlanApproval,
  type UnlockApproval,
  type WaveApproval,
} from '../../../functions/lib/approval/approval.ts'
import { signLink } from '../../../functions/lib/approval/approval-link.ts'
import { peopleFor } from '../../../functions/lib/approval/people.ts'
import {
  type DecisionAsked,
  type DecisionPorts,
  type NotTaken,
  recordDecision,
} from '../../../functions/lib/approval/record-decision.ts'
import type { Ledger } from '../../../functions/lib/ledger/ledger.ts'
import type { Secrets } from '../../../functions/lib/rotating-secret.ts'

/** What nobody has to know. */
type Hidden = 'token' | 'version' | 'closed'

interface Asked {
  /** Who may decide, and has not. */
  readonly people: readonly {
    readonly name: string
    /** Of the page on which that person decides, from the console's address. */
    readonly page: string
  }[]
  /** `open` while people are waited for. */
  readonly outcome: 'open' | 'approved' | 'denied'
}

export type UnlockApprovalLine = Omit<UnlockApproval, Hidden | 'plan'> & Asked
export type PlanApprovalLine = Omit<PlanApproval, Hidden> & Asked
export type WaveApprovalLine = Omit<WaveApproval, Hidden> & Asked

/** What people are asked about, for whoever sits at this machine. */
export type ApprovalLine = UnlockApprovalLine | PlanApprovalLine | WaveApprovalLine

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
    const approvals = await this.options.ledger.listApprovals('open')
    const now = this.options.clock.now()
    const waiting = approvals.filter(({ expiresAt }) => now < expiresAt)
    const lines = await Promise.all(waiting.map((approval) => this.lineOf(approval)))
    return lines.sort((a, b) => a.askedAt - b.askedAt)
  }

  /** Undefined where nobody was asked. */
  async get(id: string): Promise<ApprovalLine | undefined> {
    const approval = await this.options.ledger.readApproval(id)
    return approval && this.lineOf(approval)
  }

  async decide(asked: DecisionAsked): Promise<ApprovalLine | NotTaken> {
    const made = await recordDecision(asked, this.options)
    return 'outcome' in made ? made : this.lineOf(made)
  }

  private async lineOf(approval: Approval): Promise<ApprovalLine> {
    const { id, requestedBy, expiresAt, judged, closed } = approval
    const secrets = await this.options.linkSecrets()
    const outcome = outcomeOf(approval)
    const isOpen = outcome === 'open' && !closed
    const others = isOpen ? approversOf(requestedBy, peopleFor(approval.kind, this.options.fleet)) : []
    const undecided = others.filter(({ name }) => !decisionBy(name, approval))
    const people = undecided.map(({ name }) => {
      const token = signLink({ approval: id, approver: name, expiresAt, judged }, secrets)
      return { name, page: `${approvalPath}${token}` }
    })
    return { ...shownOf(approval), people, outcome }
  }
}

type Shown = Omit<UnlockApproval, Hidden | 'plan'> | Omit<PlanApproval, Hidden> | Omit<WaveApproval, Hidden>

function shownOf(approval: Approval): Shown {
  const { token: _, version: __, closed: ___, ...line } = approval
  if (line.kind !== 'unlock') return line
  const { plan: ____, ...unlock } = line
  return unlock
}
