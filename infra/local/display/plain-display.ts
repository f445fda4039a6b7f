import type { Clock } from '../../../functions/lib/clock.ts'
import { changesBetween, type PushChange } from '../views/push-changes.ts'
import { summarise } from '../views/push-summary.ts'
import type { Display, HostNotice, PushView } from '../views/push-view.ts'
import type { UnlockNews } from '../views/unlock-news.ts'
import { summaryLines } from './summary-lines.ts'
import type { Screen } from './terminal.ts'
import { duration, printable, shortCommit } from './terminal-text.ts'
import { unlockLine } from './unlock-line.ts'
import { waveText } from './wave-text.ts'

export interface PlainDisplayOptions {
  readonly output: Pick<Screen, 'write'>
  /** Of the host. */
  readonly clock: Clock
  readonly speed: number
}

/** One line a change, for logs and pipes. */
export class PlainDisplay implements Display {
  private readonly options: PlainDisplayOptions
  private readonly shown = new Map<string, PushView>()

  constructor(options: PlainDisplayOptions) {
    this.options = options
  }

  ready({ url, speed, clusters }: HostNotice): void {
    const time = speed === undefined ? '' : ` (simulated, time runs ${speed} times as fast)`
    this.say(`console ${url}, webhook ${url}/webhook, clusters ${clusters.join(', ')}${time}`)
  }

  say(line: string): void {
    this.options.output.write(`${printable(line)}\n`)
  }

  unlock(news: UnlockNews): void {
    this.say(unlockLine(news))
  }

  show(pushes: readonly PushView[]): void {
    for (const push of pushes) this.tell(push)
  }

  conclude(push: PushView): void {
    this.tell(push)
    this.shown.delete(push.push.delivery)
    const { clock, speed, output } = this.options
    const lines = summaryLines(summarise(push, clock.now()), { color: false, speed })
    output.write(`\n${lines.join('\n')}\n\n`)
  }

  close(): void {}

  private tell(push: PushView): void {
    const { delivery } = push.push
    const elapsed = duration(this.options.clock.now() - push.startedAt).padStart(9)
    for (const change of changesBetween(this.shown.get(delivery), push)) this.say(`${elapsed}  ${textOf(change)}`)
    this.shown.set(delivery, push)
  }
}

function textOf(change: PushChange): string {
  switch (change.type) {
    case 'push':
      return `push of ${shortCommit(change.commit)} to ${change.repository} ${change.branch}`
    case 'wave':
      // What Lockstep says of a wave that stops others names it, and says what to do.
      return change.phase === 'incomplete' && change.message !== undefined
        ? change.message
        : `wave ${change.wave} of ${change.of}, ${waveText(change)}`
    case 'rollout':
      return `${change.cluster}: ${change.status}${change.state === undefined ? '' : ` (${change.state})`}`
    case 'trouble':
      return `${change.cluster}: tried again: ${change.message}`
    case 'note':
      return `${change.cluster}: note: ${change.message}`
    case 'layer':
      return `${change.cluster}: ${named(change.layer)}: ${change.phase}`
    case 'object':
      return `${change.cluster}: ${change.object}: ${change.phase}${change.detail ? `, ${change.detail}` : ''}`
  }
}

/** Layers without a name of the fleet's are called `layer 1` already. */
function named(layer: string): string {
  return /^layer \d/.test(layer) ? layer : `layer ${layer}`
}
