import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Browser, whyNoBrowser } from './browser.ts'
import { WaitingHost } from './waiting-host.ts'

const title = whyNoBrowser === undefined ? 'the approval page' : `the approval page (${whyNoBrowser})`
const vpc = 'Terraform/flux-system/vpc'

describe.skipIf(whyNoBrowser !== undefined)(title, () => {
  let waiting: WaitingHost
  let browser: Browser
  /** The console, of whoever sits at this machine. */
  let page: Page
  /** What bob has got. */
  let ofBob: Page

  beforeAll(async () => {
    waiting = await WaitingHost.start()
    browser = await Browser.open()
    page = await browser.page()
    ofBob = await browser.page()
    // As an e-mail program shows it.
    await ofBob.setViewportSize({ width: 390, height: 800 })
    await page.goto(`${waiting.server.url}/#/locks`)
  })

  afterAll(async () => {
    await browser?.close()
    await waiting?.close()
  })

  it('is led to by the console, for everybody but whoever asked', async () => {
    await page.getByRole('heading', { name: `Unlock ${vpc} in staging?` }).waitFor()
    await page.getByText('node lost').waitFor()
    expect(await page.getByRole('button', { name: /^Approve as/ }).allTextContents()).toEqual([
      'Approve as bob',
      'Approve as carol',
    ])
    await page.getByRole('link', { name: 'What is known of the lock' }).click()
    await page.getByRole('heading', { name: 'Why it is stale: a silent ghost' }).waitFor()
  })

  it('shows evidence and plan to one who looks, and does nothing by that', async () => {
    const address = await page.getByRole('link', { name: 'Page of bob' }).getAttribute('href')
    for (let looks = 0; looks < 3; looks++) await ofBob.goto(`${waiting.server.url}${address}`)
    await ofBob.getByRole('heading', { name: `Unlock ${vpc} in staging?` }).waitFor()
    await ofBob.getByText('Pod/flux-system/vpc-tf-runner').first().waitFor()
    await ofBob.getByText(`To unlock ${vpc} in staging`).waitFor()
    expect(await waiting.decisions()).toEqual([])
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
    expect(await waiting.decisions()).toEqual([{ by: 'bob', decision: 'approve', reason: 'seen <b>on the node</b>' }])
  })

  it('is over with the second person, in the console', async () => {
    await page.reload()
    await page.getByText('1 of 2: bob: approve').waitFor()
    await page.getByRole('button', { name: 'Approve as carol' }).click()
    await page.getByRole('button', { name: 'Approve as carol' }).waitFor({ state: 'detached' })
    expect(await waiting.host.ledger.readApproval('unlock-1')).toMatchObject({ closed: { how: 'approved' } })
    await ofBob.reload()
    await ofBob.getByText('It is approved.').waitFor()
  })

  it('met no error and no refused content', () => {
    expect(browser.errors).toEqual([])
  })
})
