import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type HttpServer, type HttpServerOptions, startHttpServer } from '../../infra/local/http-server.ts'
import { PushWaves } from '../../infra/local/views/push-waves.ts'
import { clusterNames, FleetMachine, fleetOfWaves } from '../unit/statemachines/fleet-machine.ts'
import { failing } from '../unit/states/machines.ts'
import { Browser, whyNoBrowser } from './browser.ts'

const title = whyNoBrowser === undefined ? 'waves on the console' : `waves on the console (${whyNoBrowser})`

describe.skipIf(whyNoBrowser !== undefined)(title, () => {
  let machine: FleetMachine
  let server: HttpServer
  let browser: Browser
  let page: Page

  beforeAll(async () => {
    machine = await FleetMachine.start({
      fleet: fleetOfWaves([['staging', 'canary'], clusterNames(8)]),
      rollout: async (cluster) => {
        if (cluster === 'canary') throw failing('RolloutFailed')
        return 'succeeded'
      },
    })
    await machine.push()
    const { interpreter, fleet, clock } = machine
    const live = { onChange: () => () => {}, list: () => [] }
    const waves = new PushWaves({ interpreter, fleet })
    // The page of rollouts asks for nothing else.
    const options = { waves, live, interpreter, clock, speed: 1, person: 'ana', port: 0 }
    server = await startHttpServer(options as unknown as HttpServerOptions)
    browser = await Browser.open()
    page = await browser.page()
    await page.goto(server.url)
  })

  afterAll(async () => {
    await browser?.close()
    await server?.close()
    await machine?.close()
  })

  it('tell which one stopped the others, why, and what did not begin', async () => {
    const table = page.getByRole('table', { name: 'Waves of bbbbbbb' })
    const first = table.getByRole('row').filter({ hasText: 'Wave 1' })
    await first.waitFor()
    expect(await first.textContent()).toContain('staging, canary✗Incomplete1 of 2 succeeded')
    expect(await first.textContent()).toContain('1 failed (canary). 1 later wave with 8 clusters did not begin.')
    const second = await table.getByRole('row').filter({ hasText: 'Wave 2' }).textContent()
    expect(second).toContain('cluster-000, cluster-001, cluster-002, cluster-003, cluster-004 and 3 more')
    expect(second).toContain('Not begun')
  })

  it('lead to the execution of the whole fleet', async () => {
    await page.getByRole('link', { name: 'Waves of bbbbbbb' }).click()
    await page.getByRole('cell', { name: 'ConcludeWave' }).first().waitFor()
  })
})
