import type { ApprovalMessage, Approvers } from '../../functions/lib/approval/approvers.ts'

/** What SNS is on AWS: whoever sits at this machine is told what people are asked. Nothing is kept. */
export class MemoryApprovers implements Approvers {
  private readonly listeners = new Set<(message: ApprovalMessage) => void>()

  async send(message: ApprovalMessage): Promise<void> {
    for (const listener of this.listeners) listener(message)
  }

  /** Calls `listener` with each message. Call the result to end it. */
  onMessage(listener: (message: ApprovalMessage) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }
}
