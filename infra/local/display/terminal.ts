import type { Clock } from '../../../functions/lib/clock.ts'
import { summarise } from '../views/push-summary.ts'
import type { Display, HostNotice, PushView } from '../views/push-view.ts'
import type { WaveView } from '../views/push-waves.ts'
import type { LayerView, ObjectPhase, ObjectView, RolloutStatus, RolloutView } from '../views/rollout-view.ts'
import type { UnlockNews } from '../views/unlock-news.ts'
import { summaryLines } from './summary-lines.ts'
import { duration, lineOf, type Piece, type Style, shortCommit } from './terminal-text.ts'
import { unlockLine } from './unlock-line.ts'
import { waveStyles, waveText } from './wave-text.ts'

export interface TreeOptions {
  /** In characters. */
  readonly width: number
  /** In lines. */
  readonly height: number
  readonly color: boolean
  /** Milliseconds since the epoch, of the host's clock. */
  readonly now: number
}

const phases: Readonly<Record<ObjectPhase, { symbol: string; word: string; style: Style }>> = {
  pending: { symbol: '·', word: 'waits', style: 'dim' },
  held: { symbol: '‖', word: 'held', style: 'yellow' },
  open: { symbol: '▸', word: 'reconciles', style: 'blue' },
  ready: { symbol: '✓', word: 'ready', style: 'green' },
  failed: { symbol: '✗', word: 'failed', style: 'red' },
  gone: { symbol: '–', word: 'deleted', style: 'dim' },
}

const statuses: Readonly<Record<RolloutStatus, Style>> = {
  running: 'blue',
  held: 'yellow',
  succeeded: 'green',
  failed: 'red',
  superseded: 'dim',
  released: 'yellow',
  aborted: 'red',
}

/** The pushes as a tree of clusters, layers and objects, in at most `height` lines of at most `width` characters. */
export function renderTree(pushes: readonly PushView[], options: TreeOptions): string[] {
  const rollouts = pushes.flatMap(({ clusters }) => clusters.flatMap(({ rollout }) => rollout ?? []))
  const listing = rollouts.flatMap(({ layers }) => layers.filter(isListed))
  const lines = (most: number) => pushes.flatMap((push) => pushLines(push, most, options.now))
  const fixed = lines(0).length
  // What is left after the headings is shared by the layers that list their objects; a last line may count the rest.
  const share = Math.max(0, Math.floor((options.height - fixed) / Math.max(1, listing.length)))
  return lines(share)
    .slice(0, options.height)
    .map((pieces) => lineOf(pieces, options))
}

/** Layers that are done, or whose turn has not come, are one line each. */
function isListed({ phase }: LayerView): boolean {
  return phase === 'open' || phase === 'failed'
}

function pushLines({ push, clusters, waves }: PushView, most: number, now: number): Piece[][] {
  const title: Piece[] = [
    [`${push.repository.name} ${push.branch} `, 'bold'],
    [shortCommit(push.after), 'bold'],
    [` by ${push.pusher}`, 'dim'],
  ]
  const rollouts = new Map(clusters.map(({ name, rollout }) => [name, rollout]))
  const linesOf = (names: Iterable<string>) =>
    [...names].flatMap((name) => {
      const rollout = rollouts.get(name)
      return rollout ? rolloutLines(rollout, most, now) : []
    })
  if (waves.length < 2) return [title, ...linesOf(rollouts.keys())]
  return [title, ...waves.flatMap((wave) => [...waveLines(wave, waves.length), ...linesOf(wave.clusters)])]
}

function waveLines(wave: WaveView, of: number): Piece[][] {
  const { number, phase, message } = wave
  const { symbol, style } = waveStyles[phase]
  const line: Piece[] = [[`  ${symbol} `, style], [`wave ${number} of ${of}  `], [waveText(wave), 'dim']]
  return phase === 'incomplete' && message !== undefined ? [line, [[`    ${message}`, 'red']]] : [line]
}

function rolloutLines(rollout: RolloutView, most: number, now: number): Piece[][] {
  const { cluster, status, state, startedAt, endedAt, layers, trouble, failure } = rollout
  const live = status === 'running' || status === 'held'
  const heading: Piece[] = [
    ['  '],
    [cluster, 'bold'],
    [`  ${status}`, statuses[status]],
    [live && state !== undefined ? `  ${state}` : '', 'dim'],
    [`  ${duration((endedAt ?? now) - startedAt)}`, 'dim'],
  ]
  const said = trouble === undefined ? failure : `tried again: ${trouble}`
  const complaint: Piece[][] = said === undefined ? [] : [[[`    ${said}`, 'red']]]
  const widest = Math.max(0, ...layers.map(({ name }) => name.length))
  return [heading, ...complaint, ...layers.flatMap((layer) => layerLines(layer, widest, most, now))]
}

function layerLines(layer: LayerView, widest: number, most: number, now: number): Piece[][] {
  const { name, phase, openedAt, settledAt } = layer
  const { symbol, style } = phases[phase]
  const took = openedAt === undefined ? '' : `  ${duration((settledAt ?? now) - openedAt)}`
  const heading: Piece[] = [
    ['    '],
    [`${symbol} `, style],
    [name.padEnd(widest), phase === 'pending' ? 'dim' : 'plain'],
    [`  ${countsText(layer)}`, 'dim'],
    [took, 'dim'],
  ]
  return isListed(layer) ? [heading, ...objectLines(layer.objects, most, now)] : [heading]
}

const countOrder: readonly ObjectPhase[] = ['failed', 'open', 'held', 'pending', 'gone']

function countsText({ counts, objects }: LayerView): string {
  const others = countOrder
    .filter((phase) => counts[phase] > 0)
    .map((phase) => `${counts[phase]} ${phases[phase].word}`)
  return [`${counts.ready} of ${objects.length} ready`, ...others].join(', ')
}

const listOrder: readonly ObjectPhase[] = ['failed', 'open', 'held', 'pending', 'ready', 'gone']

function objectLines(objects: readonly ObjectView[], most: number, now: number): Piece[][] {
  if (most <= 0) return []
  // Where there is no room for all, what a person looks for comes first.
  const crowded = objects.length > most
  const ordered = crowded ? listOrder.flatMap((phase) => objects.filter((object) => object.phase === phase)) : objects
  const shown = crowded ? ordered.slice(0, most - 1) : ordered
  const widest = Math.max(0, ...shown.map(({ key }) => key.length))
  const lines = shown.map((object) => objectLine(object, widest, now))
  return crowded ? [...lines, [[`      … ${objects.length - shown.length} more`, 'dim']]] : lines
}

function objectLine(
  { key, phase, detail, why, openedAt, settledAt }: ObjectView,
  widest: number,
  now: number,
): Piece[] {
  const { symbol, word, style } = phases[phase]
  const took = openedAt === undefined ? '' : duration((settledAt ?? now) - openedAt)
  const said = [why, detail].filter((text) => text).join(' — ')
  return [
    ['      '],
    [`${symbol} `, style],
    [key.padEnd(widest)],
    [`  ${word.padEnd(10)}`, style],
    [`  ${took.padStart(8)}`, 'dim'],
    [`  ${said}`, 'dim'],
  ]
}

/** A terminal, as far as it is used. */
export interface Screen {
  readonly columns?: number
  readonly rows?: number
  write(text: string): unknown
}

export interface TerminalOptions {
  readonly screen: Screen
  /** Of the host. */
  readonly clock: Clock
  /** Paces the redraws. */
  readonly pace: Clock
  readonly color: boolean
  readonly speed: number
}

const hideCursor = '\u001b[?25l'
const showCursor = '\u001b[?25h'
/** Lines that are too long all the same (characters of double width) are cut by the terminal, not wrapped. */
const noWrap = '\u001b[?7l'
const wrap = '\u001b[?7h'
const clearLine = '\u001b[K'
const clearBelow = '\u001b[J'
const up = (lines: number) => (lines > 0 ? `\u001b[${lines}A\r` : '\r')

const redrawMs = 250

/** Redraws the tree in place; what is said stays above it. */
export class TerminalDisplay implements Display {
  private readonly options: TerminalOptions
  private pushes: readonly PushView[] = []
  private drawn = 0
  private cancelTick: (() => void) | undefined

  constructor(options: TerminalOptions) {
    this.options = options
  }

  ready({ url, speed, clusters }: HostNotice): void {
    const time = speed === undefined ? '' : ` (simulated, time runs ${speed} times as fast)`
    this.say(`Console   ${url}`)
    this.say(`Webhook   ${url}/webhook`)
    this.say(`Clusters  ${clusters.join(', ')}${time}`)
    this.say('')
  }

  say(line: string): void {
    this.erase()
    this.write([lineOf([[line]], { width: Number.POSITIVE_INFINITY, color: false })])
    this.draw()
  }

  unlock(news: UnlockNews): void {
    this.say(unlockLine(news))
  }

  show(pushes: readonly PushView[]): void {
    this.pushes = pushes
    this.erase()
    this.draw()
    this.tick()
  }

  conclude(push: PushView): void {
    const { clock, color, speed, screen } = this.options
    this.pushes = this.pushes.filter((other) => other.push.delivery !== push.push.delivery)
    this.erase()
    const now = clock.now()
    const summary = summarise(push, now)
    const { columns = 80, rows = 24 } = screen
    // The summary tells what went well; what did not is left on the screen.
    const tree = summary.succeeded ? [] : [...renderTree([push], { color, now, width: columns, height: rows }), '']
    this.write([...tree, ...summaryLines(summary, { color, speed }), ''])
    this.draw()
  }

  close(): void {
    this.cancelTick?.()
    this.pushes = []
    this.options.screen.write(showCursor)
  }

  /** Elapsed times move even when nothing else does. */
  private tick(): void {
    if (this.cancelTick || this.pushes.length === 0) return
    this.cancelTick = this.options.pace.after(redrawMs, () => {
      this.cancelTick = undefined
      this.show(this.pushes)
    })
  }

  private erase(): void {
    if (this.drawn > 0) this.options.screen.write(`${up(this.drawn)}${clearBelow}`)
    this.drawn = 0
  }

  private draw(): void {
    const { screen, clock, color } = this.options
    if (this.pushes.length === 0) return void screen.write(showCursor)
    const { columns = 80, rows = 24 } = screen
    const size = { width: columns - 1, height: rows - 1 }
    const lines = renderTree(this.pushes, { ...size, color, now: clock.now() })
    screen.write(`${hideCursor}${noWrap}${lines.map((line) => `${line}${clearLine}\n`).join('')}${wrap}`)
    this.drawn = lines.length
  }

  private write(lines: readonly string[]): void {
    this.options.screen.write(lines.map((line) => `${line}\n`).join(''))
  }
}
