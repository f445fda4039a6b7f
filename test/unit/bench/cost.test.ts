import { readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { costPage } from '../../bench/cost/cost-page.ts'
import { type CostInput, costOf, usualAssumptions } from '../../bench/cost/model.ts'
import { readPrices } from '../../bench/cost/prices.ts'
import { readChoices, readStanding } from '../../bench/cost/standing.ts'
import { readUsage, readWork, type Usage } from '../../bench/cost/usage-figures.ts'

const kept = 'test/bench/cost/usage.json'
const input: CostInput = {
  ...{
    usage: readUsage(kept),
    work: readWork(kept),
    standing: readStanding(),
    prices: readPrices(),
    assumptions: usualAssumptions,
  },
}

const choices = readChoices()

it('docs/cost.md is what npm run cost -- --write docs/cost.md writes', () => {
  expect(readFileSync('docs/cost.md', 'utf8')).toBe(costPage([1, 10, 100, 500], input, choices))
})

it('the stack has all functions that were measured, with the memory that they are paid for', () => {
  const measured = Object.values(input.usage).flatMap(({ calls }) => Object.keys(calls))
  for (const name of [...measured, 'webhook']) expect([256, 512]).toContain(input.standing.memory[name])
  expect(input.standing).toMatchObject({ dashboards: 1, secrets: 2, keys: 0, endpointZones: 0, mailboxes: 0 })
  expect(input.standing.alarmMetrics).toBeGreaterThan(15)
})

describe('a cost', () => {
  // One transition each, and nothing else.
  const one: Usage = { transitions: 1, events: 0, readUnits: 0, writeUnits: 0, calls: {} }
  const none: Usage = { ...one, transitions: 0 }
  const usage = { fleet: one, rollout: one, scanWithout: one, scanOfOne: { ...one, transitions: 3 }, sweep: one }
  const prices = structuredClone(input.prices)
  for (const [item, price] of Object.entries(prices.prices)) price.usd = item === 'stepFunctionsTransition' ? 1 : 1e-12
  const standing = { ...input.standing }
  const simple = { ...input, usage, prices, standing }

  it('of a push is the fleet’s, a state for each further cluster, and their rollouts', () => {
    expect(costOf(1, simple).push).toBeCloseTo(2)
    expect(costOf(10, simple).push).toBeCloseTo(1 + 9 + 10)
  })

  it('of scans and sweeps goes by how often they are, and by the clusters', () => {
    const minutes = 30.4 * 24 * 60
    const { month } = costOf(10, simple)
    expect(month['scans for locks']).toBeCloseTo((minutes / 2) * (1 + 10 * 2), 3)
    expect(month.sweeps).toBeCloseTo((minutes / 15) * 10, 3)
    const rare = { ...simple, assumptions: { ...usualAssumptions, scanEvery: 4, sweepEvery: 30 } }
    expect(costOf(10, rare).month['scans for locks']).toBeCloseTo(month['scans for locks'] / 2, 3)
    expect(costOf(10, rare).month.sweeps).toBeCloseTo(month.sweeps / 2, 3)
  })

  it('of what waits is paid by the second and the memory', () => {
    const wait = { ...none, calls: { wait: { invocations: 2, seconds: 60 } } }
    const only = { ...input, usage: { ...usage, fleet: none, rollout: wait } }
    const still = {
      ...only,
      usage: { ...only.usage, rollout: { ...wait, calls: { wait: { invocations: 2, seconds: 0 } } } },
    }
    const measured = { wait: { startCpuMs: 0, workCpuMs: 0 } }
    const difference = costOf(1, { ...only, work: measured }).push - costOf(1, { ...still, work: measured }).push
    expect(difference).toBeCloseTo(60 * 0.5 * input.prices.prices.lambdaGbSecond.usd, 9)
  })

  it('of work is what was measured, on the share of a CPU that the memory gives', () => {
    const opened = { ...none, calls: { open: { invocations: 5, seconds: 0 } } }
    const only = { ...input, usage: { ...usage, fleet: none, rollout: opened } }
    const cost = (startCpuMs: number, workCpuMs: number) =>
      costOf(1, { ...only, work: { open: { startCpuMs, workCpuMs } } }).push
    const second = 0.5 * input.prices.prices.lambdaGbSecond.usd
    expect(cost(100, 0) - cost(0, 0)).toBeCloseTo(0.1 * (1_769 / 512) * second, 9)
    expect(cost(0, 100) - cost(0, 0)).toBeCloseTo(5 * 0.1 * (1_769 / 512) * second, 9)
    expect(costOf(1, { ...only, work: {} }).push - cost(0, 0)).toBeCloseTo(
      5 * usualAssumptions.secondsPerInvocation * second,
      9,
    )
  })

  it('of what a fleet may ask for is that of its resources, and of their use', () => {
    const { 'a key of your own': key, 'VPC endpoints in two zones': endpoints } = choices
    const mail = choices['messages by mail to three people']
    expect([key?.keys, endpoints?.endpointZones, mail?.mailboxes]).toEqual([1, 12, 3])
    const more = (standing: typeof key, clusters: number) =>
      costOf(clusters, { ...input, standing: standing ?? input.standing }).total - costOf(clusters, input).total
    const { kmsKeyMonth, vpcEndpointMonth, snsMail } = input.prices.prices
    expect(more(key, 1)).toBeGreaterThan(kmsKeyMonth.usd)
    expect(more(endpoints, 100)).toBeCloseTo(12 * vpcEndpointMonth.usd, 6)
    const messages = 20 * 30.4 * usualAssumptions.messagesPerRollout
    expect(more(mail, 10)).toBeCloseTo(10 * 3 * messages * snsMail.usd, 6)
  })

  it('adds up to the same by purpose and by service', () => {
    for (const clusters of [1, 10, 100]) {
      const { month, services, total } = costOf(clusters, input)
      const sum = (of: Record<string, number>) => Object.values(of).reduce((all, each) => all + each, 0)
      expect(sum(month)).toBeCloseTo(total, 6)
      expect(sum(services)).toBeCloseTo(total, 6)
    }
  })
})

it('every price has the page of AWS that says it', () => {
  for (const { source } of Object.values(input.prices.prices))
    expect(source).toMatch(/^https:\/\/aws\.amazon\.com\/.*pricing\//)
})

it('a file that is not what the bench writes is refused, with what to do', () => {
  const file = join(tmpdir(), `lockstep-cost-${process.pid}.json`)
  for (const content of ['', '{}', '{"measurements": []}']) {
    writeFileSync(file, content)
    expect(() => readUsage(file)).toThrow('npm run bench -- --only usage')
  }
})
