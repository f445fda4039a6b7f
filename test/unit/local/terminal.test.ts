import { describe, expect, it } from 'vitest'
import { JsonDisplay } from '../../../infra/local/display/json-display.ts'
import { PlainDisplay } from '../../../infra/local/display/plain-display.ts'
import { summaryLines } from '../../../infra/local/display/summary-lines.ts'
import { renderTree, TerminalDisplay } from '../../../infra/local/display/terminal.ts'
import { summarise } from '../../../infra/local/views/push-summary.ts'
import type { WaveView } from '../../../infra/local/views/push-waves.ts'
import { layer, object, pushView, rollout } from './views.ts'

const now = 10_000
const clock = { now: () => now, after: () => () => {} }
const plain = { width: 100, height: 40, color: false, now }

const network = layer(0, 'network', 'ready', [object('vpc', 'ready', { openedAt: 1_500, settledAt: 4_700 })], {
  openedAt: 1_500,
  settledAt: 4_700,
})
const database = layer(
  1,
  'database',
  'open',
  [
    object('database', 'open', { openedAt: 4_740, detail: 'Progressing: Applying' }),
    object('cache', 'failed', { openedAt: 4_740, settledAt: 5_740, detail: 'TFExecApplyFailed: no' }),
  ],
  { openedAt: 4_740 },
)
const apps = layer(2, 'apps', 'held', [object('api', 'held', { why: 'behind Terraform/flux-system/cache' })])
const stagingWave: WaveView = { number: 1, clusters: ['staging'], after: [], phase: 'running' }
const productionWave: WaveView = { number: 2, clusters: ['production'], after: ['staging'], phase: 'waits' }
const running = pushView(
  [{ name: 'staging', rollout: rollout({ layers: [network, database, apps] }) }, { name: 'production' }],
  { waves: [stagingWave, productionWave] },
)
const why = 'Wave 1 of 2: 0 of 1 clusters succeeded, 1 failed (staging). 1 later wave with 1 cluster did not begin.'
const stopped = pushView(
  [{ name: 'staging', rollout: rollout({ status: 'failed', endedAt: 2_000 }) }, { name: 'production' }],
  {
    status: 'FAILED',
    endedAt: 3_000,
    waves: [
      { ...stagingWave, phase: 'incomplete', succeeded: 0, message: why },
      { ...productionWave, phase: 'not begun' },
    ],
  },
)

describe('the tree', () => {
  it('lists the objects of layers that are worked on, and one line for every other', () => {
    expect(renderTree([running], plain)).toEqual([
      'my-org/fleet-infra main bbbbbbb by ana',
      '  ▸ wave 1 of 2  staging: rolled out now',
      '  staging  running  WaitForLayer  9.0 s',
      '    ✓ network   1 of 1 ready  3.2 s',
      '    ▸ database  0 of 2 ready, 1 failed, 1 reconciles  5.3 s',
      '      ▸ Terraform/flux-system/database  reconciles     5.3 s  Progressing: Applying',
      '      ✗ Terraform/flux-system/cache     failed         1.0 s  TFExecApplyFailed: no',
      '    ‖ apps      0 of 1 ready, 1 held',
      '  · wave 2 of 2  production: waits for staging',
    ])
  })

  it('tells which wave has stopped the others, and why', () => {
    expect(renderTree([stopped], { ...plain, width: 200 })).toEqual([
      'my-org/fleet-infra main bbbbbbb by ana',
      '  ✗ wave 1 of 2  staging: 0 of 1 succeeded',
      `    ${why}`,
      '  staging  failed  1.0 s',
      '  – wave 2 of 2  production: not begun',
    ])
  })

  it('names few of many clusters', () => {
    const clusters = Array.from({ length: 500 }, (_, index) => `c${index}`)
    const view = pushView([], { waves: [stagingWave, { ...productionWave, clusters, after: clusters.slice(0, 4) }] })
    expect(renderTree([view], plain).at(-1)).toBe(
      '  · wave 2 of 2  c0, c1, c2 and 497 more: waits for c0, c1, c2 and 1 more',
    )
  })

  it('is cut to a narrow terminal', () => {
    const lines = renderTree([running], { ...plain, width: 30 })
    expect(lines.every((line) => [...line].length <= 30)).toBe(true)
    expect(lines[5]).toBe('      ▸ Terraform/flux-system…')
  })

  it('fits a low terminal: what has failed first, then what is open, and how many more', () => {
    const many = Array.from({ length: 1_000 }, (_, index) => object(`o${index}`, index === 999 ? 'failed' : 'open'))
    const view = pushView([{ name: 'staging', rollout: rollout({ layers: [layer(0, 'apps', 'open', many)] }) }])
    const lines = renderTree([view], { ...plain, height: 7 })
    expect(lines).toHaveLength(7)
    expect(lines[3]).toContain('✗ Terraform/flux-system/o999')
    expect(lines[6]).toBe('      … 997 more')
  })

  it('has colours only where they are wanted', () => {
    expect(renderTree([running], plain).join('')).not.toContain('\u001b')
    expect(renderTree([running], { ...plain, color: true }).join('')).toContain('\u001b[32m✓ ')
  })

  it('lets no cluster write escape sequences or lines', () => {
    const hostile = object('x', 'open', { detail: '\u001b[2Jgone\nnext\u202e' })
    const view = pushView([{ name: 's', rollout: rollout({ layers: [layer(0, 'apps', 'open', [hostile])] }) }])
    expect(renderTree([view], plain).at(-1)).toMatch(/\?\[2Jgone next\?$/)
  })

  it('tells what is tried again, and why a rollout failed', () => {
    const trouble = pushView([{ name: 's', rollout: rollout({ trouble: 'ClusterUnavailable: reset' }) }])
    expect(renderTree([trouble], plain)).toContain('    tried again: ClusterUnavailable: reset')
    const failed = pushView([{ name: 's', rollout: rollout({ status: 'failed', failure: 'no plan', endedAt: 2_000 }) }])
    expect(renderTree([failed], plain).slice(1)).toEqual(['  staging  failed  1.0 s', '    no plan'])
  })
})

const ended = pushView(
  [
    {
      name: 'staging',
      rollout: rollout({
        status: 'succeeded',
        endedAt: 9_000,
        notes: ['a note'],
        layers: [
          network,
          layer(1, 'apps', 'ready', [object('api', 'ready', { openedAt: 4_740, settledAt: 8_000 })], {
            openedAt: 4_740,
            settledAt: 8_000,
          }),
        ],
      }),
    },
  ],
  { status: 'SUCCEEDED', endedAt: 9_000 },
)

describe('the summary', () => {
  it('has times of layers, and the gaps before them', () => {
    expect(summaryLines(summarise(ended, now), { color: false, speed: 1 })).toEqual([
      '✓ bbbbbbb is rolled out  8.0 s',
      '  staging  succeeded  8.0 s',
      '    layer    objects  ready       took  idle before',
      '    network        1      1      3.2 s            -',
      '    apps           1      1      3.3 s        40 ms',
      '    note: a note',
    ])
  })

  it('tells gaps in real time, because no simulation speeds them up', () => {
    const lines = summaryLines(summarise(ended, now), { color: false, speed: 4 })
    expect(lines[0]).toBe('✓ bbbbbbb is rolled out  8.0 s of simulated time, 2.0 s of yours')
    expect(lines[4]).toBe('    apps           1      1      3.3 s        10 ms')
  })

  it('leaves out of a gap what ended after the layer was opened', () => {
    const late = layer(0, 'root', 'ready', [object('root', 'ready', { openedAt: 1_000, settledAt: 9_000 })])
    const next = layer(1, 'apps', 'ready', [object('api', 'ready', { settledAt: 8_000 })], { openedAt: 5_000 })
    const view = pushView([{ name: 'staging', rollout: rollout({ layers: [late, next] }) }])
    expect(summarise(view, now).clusters[0]?.layers[1]?.idleMs).toBeUndefined()
  })

  it('takes clusters that are shown no more for what their wave says', () => {
    const many = { number: 2, clusters: ['c1', 'c2'], after: [], phase: 'done' } as const
    const clusters = [...ended.clusters, { name: 'c1' }, { name: 'c2' }]
    const view = { ...ended, clusters, waves: [{ ...stagingWave, phase: 'done' as const }, many] }
    expect(summarise(view, now)).toMatchObject({ succeeded: true, clusters: [{ cluster: 'staging' }] })
    const left = {
      ...view,
      waves: [
        { ...stagingWave, phase: 'done' as const },
        { ...many, phase: 'incomplete' as const },
      ],
    }
    expect(summarise(left, now).succeeded).toBe(false)
  })

  it('does not call a push rolled out that has not reached every cluster', () => {
    const view = { ...ended, clusters: [...ended.clusters, { name: 'production' }] }
    expect(summarise(view, now)).toMatchObject({ succeeded: false, clusters: [{}, { status: 'not begun' }] })
  })
})

function written() {
  const texts: string[] = []
  return { texts, write: (text: string) => texts.push(text), text: () => texts.join('') }
}

it('plain output has one line a change, and none for what stays', () => {
  const output = written()
  const display = new PlainDisplay({ output, clock, speed: 1 })
  display.show([running])
  const first = output.texts.length
  display.show([running])
  expect(output.texts).toHaveLength(first)
  expect(output.text()).toBe(
    [
      '    9.0 s  push of bbbbbbb to my-org/fleet-infra main',
      '    9.0 s  wave 1 of 2, staging: rolled out now',
      '    9.0 s  wave 2 of 2, production: waits for staging',
      '    9.0 s  staging: Terraform/flux-system/vpc: ready',
      '    9.0 s  staging: layer network: ready',
      '    9.0 s  staging: Terraform/flux-system/database: open, Progressing: Applying',
      '    9.0 s  staging: Terraform/flux-system/cache: failed, TFExecApplyFailed: no',
      '    9.0 s  staging: layer database: open',
      '    9.0 s  staging: Terraform/flux-system/api: held, behind Terraform/flux-system/cache',
      '    9.0 s  staging: layer apps: held',
      '    9.0 s  staging: running (WaitForLayer)',
      '',
    ].join('\n'),
  )
})

it('plain output tells how waves end, after what happened in them', () => {
  const output = written()
  const display = new PlainDisplay({ output, clock, speed: 1 })
  display.show([running])
  output.texts.length = 0
  display.conclude(stopped)
  expect(output.text()).toBe(
    [
      '    9.0 s  staging: failed (WaitForLayer)',
      `    9.0 s  ${why}`,
      '    9.0 s  wave 2 of 2, production: not begun',
      '',
      '✗ bbbbbbb is not rolled out everywhere  2.0 s',
      '  ✗ wave 1 of 2  staging: 0 of 1 succeeded',
      `    ${why}`,
      '  – wave 2 of 2  production: not begun',
      '  staging  failed  1.0 s',
      '  production  not begun',
      '',
      '',
    ].join('\n'),
  )
})

it('JSON output tells of waves with all their clusters', () => {
  const output = written()
  const display = new JsonDisplay({ output, clock })
  display.show([running])
  display.conclude(stopped)
  const lines = output
    .text()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(lines.filter(({ type }) => type === 'wave')).toMatchObject([
    { wave: 1, of: 2, phase: 'running', clusters: ['staging'] },
    { wave: 2, of: 2, phase: 'waits', clusters: ['production'], after: ['staging'] },
    { wave: 1, of: 2, phase: 'incomplete', succeeded: 0, message: why },
    { wave: 2, of: 2, phase: 'not begun' },
  ])
  expect(lines.at(-1)).toMatchObject({ type: 'result', waves: [{ phase: 'incomplete' }, { phase: 'not begun' }] })
})

it('JSON output is one document a line, with the result at the end', () => {
  const output = written()
  const display = new JsonDisplay({ output, clock })
  display.show([running])
  display.conclude(ended)
  const lines = output
    .text()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(lines[0]).toMatchObject({ type: 'push', commit: 'b'.repeat(40), at: '1970-01-01T00:00:10.000Z' })
  expect(lines.at(-1)).toMatchObject({ type: 'result', succeeded: true, durationMs: 8_000 })
})

it('a terminal is redrawn in place, in as many lines as it has', () => {
  const screen = { ...written(), columns: 60, rows: 6 }
  const display = new TerminalDisplay({ screen, clock, pace: clock, color: false, speed: 1 })
  display.show([running])
  expect(screen.text().split('\n')).toHaveLength(6)
  screen.texts.length = 0
  display.show([running])
  expect(screen.texts[0]).toBe('\u001b[5A\r\u001b[J')
  display.close()
  expect(screen.text().endsWith('\u001b[?25h')).toBe(true)
})
