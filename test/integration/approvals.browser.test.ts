import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseFleet } from '../../functions/lib/fleet.ts'
import { silentLog } from '../../functions/lib/log.ts'
import { type Host, startHost } from '../../infra/local/host.ts'
import { type HttpServer, startHttpServer } from '../../infra/local/http-server.ts'
import { LiveRollouts } from '../../infra/local/views/live-rollouts.ts'
import { LockViews } from '../../infra/local/views/lock-view.ts'
import { UnlockViews } from '../../infra/local/views/unlock-view.ts'
import { noActivity, scaledClock } from '../../infra/local/virtual-clock.ts'
import { approvalOf, askedAt, people, staleLock } from '../fixtures/approvals.ts'
import { Browser, whyNoBrowser } from './browser.ts'

const title = whyNoBrowser === undefined ? 'the approval page' : `the approval page (${whyNoBrowser})`
const vpc = 'Terraform/flux-system/vpc'

const fleet = parseFleet({
  repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }],
  clusters: [{ name: 'staging', eks: 'staging-eks', region: 'us-east-1', environment: 'test' }],
  locks: { policy: { test: { plan: 'two-approvals', apply: 'two-approvals' } }, approvers: people },
})

/** A host that knows of one lock and of one unlock that waits for people. No cluster is needed to decide. */
describe.skipIf(whyNoBrowser !== undefined)(title, () => {
  let host: Host
  let live: LiveRollouts
  let server: HttpServer
  let browser: Browser
  /** The console, of whoever sits at this machine. */
  let page: Page
  /** What bob has got. */
  let ofBob: Page

  beforeAll(async () => {
    const clock = scaledClock(1, askedAt + 60_000)
    const clusters = { connect: async () => Promise.reject(new Error('there is none')) }
    host = await startHost({
      ...{ fleet, clusters, clock, activity: noActivity, webhookSecret: 'of the tests', log: silentLog },
    })
    const { interpreter, ledger, webhook, unlockRoutes } = host
    await ledger.writeObservation(staleLock)
    await ledger.writeApproval(approvalOf({ plan: [`To unlock ${vpc} in staging`] }))
    live = new LiveRollouts({ interpreter, ledger, clusters, clock })
    server = await startHttpServer({
      ...{ webhook, live, interpreter, ledger, ...unlockRoutes, clock, speed: 1, person: 'ana', port: 0 },
      locks: new LockViews({ ledger, fleet, clock }),
      unlocks: new UnlockViews({ ledger, fleet, clusters }),
    })
    browser = await Browser.open()
    page = await browser.page()
    ofBob = await browser.page()
    // As an e-mail program shows it.
    await ofBob.setViewportSize({ width: 390, height: 800 })
    await page.goto(`${server.url}/#/locks`)
  })

  afterAll(async () => {
    await browser?.close()
    await server?.close()
    await live?.close()
    await host?.close()
  })

  const decisions = async () => {
    const approval = await host.ledger.readApproval('unlock-1')
    return approval?.decisions.map(({ by, decision, reason }) => ({ by, decision, reason }))
  }

  it('is led to by the console, for everybody but whoever asked', async () => {
    await page.getByRole('heading', { name: `Unlock ${vpc} in staging?` }).waitFor()
    await page.getByText('node lost').waitFor()
    expect(await page.getByRole('button', { name: /^Approve as/ }).allTextContents()).toEqual([
      'Approve as bob',
      'Approve as carol',
    ])
    await page.getByRole('link', { name: 'Why it is thought to be stale' }).click()
    await page.getByRole('heading', { name: 'Why it is stale: a silent ghost' }).waitFor()
  })

  it('shows evidence and plan to one who looks, and does nothing by that', async () => {
    const address = await page.getByRole('link', { name: 'Page of bob' }).getAttribute('href')
    for (let looks = 0; looks < 3; looks++) await ofBob.goto(`${server.url}${address}`)
    await ofBob.getByRole('heading', { name: `Unlock ${vpc} in staging?` }).waitFor()
    await ofBob.getByText('Pod/flux-system/vpc-tf-runner').first().waitFor()
    await ofBob.getByText(`To unlock ${vpc} in staging`).waitFor()
    expect(await decisions()).toEqual([])
  })

  it('fits a phone, in light and dark', async () => {
    const root = ofBob.locator('html')
    const look = async () => ({
      wide: await root.evaluate((element) => element.scrollWidth > element.clientWidth),
      page: await ofBob
        .locator('body')
        .evaluate((body) => body.ownerDocument.defaultView?.getComputedStyle(body).backgroundColor),
    })
    await ofBob.emulateMedia({ colorScheme: 'light' })
    const light = await look()
    await ofBob.emulateMedia({ colorScheme: 'dark' })
    const dark = await look()
    // Its style is the only one that its policy allows.
    expect([light.wide, dark.wide, light.page]).toEqual([false, false, 'rgb(244, 246, 248)'])
    expect(dark.page).not.toBe(light.page)
  })

  it('takes one decision of one person, by a button', async () => {
    await ofBob.getByLabel('A word on why').fill('seen <b>on the node</b>')
    await ofBob.getByRole('button', { name: 'Approve' }).click()
    await ofBob.getByText('Bob has approved it already.').waitFor()
    await ofBob.reload()
    await ofBob.getByText('seen <b>on the node</b>').waitFor()
    expect(await ofBob.getByRole('button').count()).toBe(0)
    expect(await decisions()).toEqual([{ by: 'bob', decision: 'approve', reason: 'seen <b>on the node</b>' }])
  })

  it('is over with the second person, in the console', async () => {
    await page.reload()
    await page.getByText('1 of 2: bob: approve').waitFor()
    await page.getByRole('button', { name: 'Approve as carol' }).click()
    await page.getByRole('button', { name: 'Approve as carol' }).waitFor({ state: 'detached' })
    expect(await host.ledger.readApproval('unlock-1')).toMatchObject({ closed: { how: 'approved' } })
    await ofBob.reload()
    await ofBob.getByText('It is approved.').waitFor()
  })

  it('met no error and no refused content', () => {
    expect(browser.errors).toEqual([])
  })
})
