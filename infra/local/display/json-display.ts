import type { Clock } from '../../../functions/lib/clock.ts'
import { changesBetween } from '../views/push-changes.ts'
import { summarise } from '../views/push-summary.ts'
import type { Display, HostNotice, PushView } from '../views/push-view.ts'
import type { UnlockNews } from '../views/unlock-news.ts'
import type { Screen } from './terminal.ts'

export interface JsonDisplayOptions {
  readonly output: Pick<Screen, 'write'>
  /** Of the host. */
  readonly clock: Clock
}

/** One JSON document a line: `ready`, `message`, every change of a push, and its `result` at the end. */
export class JsonDisplay implements Display {
  private readonly options: JsonDisplayOptions
  private readonly shown = new Map<string, PushView>()

  constructor(options: JsonDisplayOptions) {
    this.options = options
  }

  ready(notice: HostNotice): void {
    this.write({ type: 'ready', ...notice })
  }

  say(message: string): void {
    this.write({ type: 'message', message })
  }

  unlock(news: UnlockNews): void {
    this.write({ type: 'unlock', ...news })
  }

  show(pushes: readonly PushView[]): void {
    for (const push of pushes) this.tell(push)
  }

  conclude(push: PushView): void {
    this.tell(push)
    this.shown.delete(push.push.delivery)
    this.write({ type: 'result', delivery: push.push.delivery, ...summarise(push, this.options.clock.now()) })
  }

  close(): void {}

  private tell(push: PushView): void {
    const { delivery } = push.push
    for (const change of changesBetween(this.shown.get(delivery), push)) this.write({ ...change, delivery })
    this.shown.set(delivery, push)
  }

  /** `at`: ISO 8601, of the host's clock. */
  private write({ type, ...rest }: { readonly type: string } & Readonly<Record<string, unknown>>): void {
    const at = new Date(this.options.clock.now()).toISOString()
    this.options.output.write(`${JSON.stringify({ type, at, ...rest })}\n`)
  }
}
