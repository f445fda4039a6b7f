import { LockstepError } from '../errors.ts'

/** Asks people for their approval. */
export interface Approvers {
  /** At least once. Rejects with ApproversUnavailable. */
  send(message: ApprovalMessage): Promise<void>
}

export interface ApprovalMessage {
  /** The person's name in the fleet: nobody else may get the link. */
  readonly approver: string
  /** Address of the page on which that person decides. A secret. */
  readonly link: string
  /** What is asked, in a line. */
  readonly summary: string
}

/** The topic did not take a message: people are asked again. */
export class ApproversUnavailable extends LockstepError {
  constructor(reason: string) {
    const next = 'It is tried again; if that goes on, check that this role has sns:Publish on the topic.'
    super('ApproversUnavailable', `SNS did not take a message to an approver (${reason}).`, next)
  }
}
