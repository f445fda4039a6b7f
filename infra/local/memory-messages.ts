import type { Message, MessageChannel } from '../../functions/lib/notify/message.ts'

/** So many are kept, the newest ones. */
const limit = 200

/** What the topic of SNS is on AWS: whoever sits at this machine is told. */
export class MemoryMessages implements MessageChannel {
  readonly name = 'local'
  private readonly kept: Message[] = []
  private readonly listeners = new Set<(message: Message) => void>()

  /** The newest ones, the oldest of them first. */
  get sent(): readonly Message[] {
    return this.kept
  }

  async send(message: Message): Promise<void> {
    this.kept.push(message)
    if (this.kept.length > limit) this.kept.shift()
    for (const listener of this.listeners) listener(message)
  }

  /** Calls `listener` with each message. Call the result to end it. */
  onMessage(listener: (message: Message) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }
}
