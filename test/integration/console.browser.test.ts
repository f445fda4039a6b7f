import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Browser, whyNoBrowser } from './browser.ts'
import { ServedHost } from './served-host.ts'

const title = whyNoBrowser === undefined ? 'the console' : `the console (${whyNoBrowser})`

describe.skipIf(whyNoBrowser !== undefined)(title, () => {
  let served: ServedHost
  let browser: Browser
  let page: Page

  beforeAll(async () => {
    served = await ServedHost.start()
    browser = await Browser.open()
    page = await browser.page()
    await page.goto(served.server.url)
  })

  afterAll(async () => {
    await browser?.close()
    await served?.close()
  })

  it('shows a push without being loaded again, and follows it until its gates are held', async () => {
    await page.getByText('No push has arrived yet').waitFor()
    served.faults.fail('Terraform/flux-system/database', { message: '<img src=x onerror=alert(1)>' })
    await served.push()
    await page.getByRole('link', { name: 'staging' }).click()
    await page.getByRole('heading', { name: 'staging to c4a8e21' }).waitFor()
    await page.getByRole('button', { name: 'Release the gates' }).waitFor()
    await page.getByRole('button', { name: /Failed database/ }).waitFor()
  })

  it('shows what clusters say as text', async () => {
    const cell = page.getByRole('cell', { name: '<img src=x onerror=alert(1)>' })
    await cell.waitFor()
    expect(await page.locator('main img').count()).toBe(0)
  })

  it('opens a layer by keyboard and keeps the focus there', async () => {
    const apps = page.getByRole('button', { name: /Held apps/ })
    await apps.focus()
    await page.keyboard.press('Enter')
    await page.getByText('behind Terraform/flux-system/database').waitFor()
    expect(await apps.getAttribute('aria-expanded')).toBe('true')
    expect(await apps.evaluate((element) => element === element.ownerDocument.activeElement)).toBe(true)
  })

  it('shows what sweeps find, as soon as one has ended', async () => {
    const rollout = page.url()
    await page.getByRole('link', { name: 'Findings' }).click()
    await page.getByText('staging was not swept yet').waitFor()
    served.findings.sweep('staging')
    await page.getByText(/staging was swept .* ago/).waitFor()
    await page.getByRole('cell', { name: 'Terraform/billing/invoices staging' }).waitFor()
    expect(await page.locator('[aria-current=page]').textContent()).toBe('Findings')
    await page.goto(rollout)
  })

  it('releases the gates', async () => {
    await page.getByRole('button', { name: 'Release the gates' }).click()
    await page.locator('main').getByRole('status').filter({ hasText: 'Released' }).waitFor()
    expect((await served.reaches('released')).status).toBe('released')
  })

  it('shows the history of the execution, and leads to the one that started it', async () => {
    await page.getByRole('link', { name: 'History of this rollout' }).click()
    await page.getByRole('button', { name: 'Details of event 2', exact: true }).click()
    await page.getByText('"stateEnteredEventDetails"').waitFor()
    await page.getByRole('link', { name: /^fleet: / }).click()
    await page.getByRole('cell', { name: 'RolloutWave' }).first().waitFor()
    await page.getByRole('link', { name: /^rollout: .*staging$/ }).waitFor()
  })

  it('comes back to the same place when it is loaded again', async () => {
    const heading = await page.getByRole('heading', { level: 1 }).textContent()
    await page.reload()
    await page.getByRole('heading', { level: 1, name: heading ?? '' }).waitFor()
  })

  it('shows the ghost lock, and why it is thought to be one', async () => {
    await page.getByRole('link', { name: 'Locks', exact: true }).click()
    await page.getByRole('cell', { name: 'Suspect silent ghost' }).waitFor()
    await page.getByRole('link', { name: 'Terraform/billing/invoices' }).click()
    await page.getByRole('heading', { name: 'Why it is suspect: a silent ghost' }).waitFor()
    const evidence = page.getByRole('table', { name: 'Evidence, each piece with its source' })
    await evidence
      .getByRole('row')
      .filter({ hasText: 'Pod/billing/invoices-tf-runner' })
      .filter({ hasText: 'gone' })
      .waitFor()
    await page.getByText('npm run locks -- explain').waitFor()
    await page.getByRole('link', { name: 'Locks' }).last().click()
    await page.getByRole('heading', { level: 1, name: 'Locks' }).waitFor()
  })

  it('asks for an unlock of it, which is refused, and leads back to the lock', async () => {
    await page.getByRole('link', { name: 'Terraform/billing/invoices' }).click()
    await page.getByRole('button', { name: 'Unlock under guard' }).click()
    await page.getByRole('cell', { name: 'Conclude' }).first().waitFor()
    await page.getByText('"requestedBy": "ana"').first().waitFor()
    await page.getByText('"reason": "the node is gone"').first().waitFor()
    await page.locator('main').getByRole('status').filter({ hasText: 'Succeeded' }).waitFor()
    await page.getByText('"outcome": "refused"').first().waitFor()
    await page.getByRole('link', { name: 'What is known of the lock' }).click()
    await page.getByRole('heading', { name: 'Why it is suspect: a silent ghost' }).waitFor()
  })

  it('met no error and no refused content', () => {
    expect(browser.errors).toEqual([])
  })
})
