import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { showJsonPlan } from '../../functions/lib/plans/json-plan.ts'
import { planApprovalOf } from '../fixtures/plan-approvals.ts'
import { Browser, whyNoBrowser } from './browser.ts'
import { WaitingHost } from './waiting-host.ts'

const title = whyNoBrowser === undefined ? 'the page of a plan' : `the page of a plan (${whyNoBrowser})`
const heading = 'Apply the plan of Terraform/flux-system/vpc in staging?'

const shown = showJsonPlan(
  JSON.stringify({
    resource_changes: [
      {
        address: 'aws_db_instance.main',
        change: {
          actions: ['delete', 'create'],
          ...{ before: { engine: '14', password: 'hunter22' }, after: { engine: '15', password: '<b>hunter23' } },
          ...{ before_sensitive: { password: true }, after_sensitive: { password: true } },
        },
      },
      {
        address: 'aws_vpc.main',
        change: { actions: ['create'], after: { cidr: '10.0.0.0/16' }, after_unknown: { id: true } },
      },
    ],
  }),
  false,
)

describe.skipIf(whyNoBrowser !== undefined)(title, () => {
  let waiting: WaitingHost
  let browser: Browser
  let page: Page
  let ofBob: Page
  const approval = planApprovalOf({ shown })

  beforeAll(async () => {
    waiting = await WaitingHost.start()
    await waiting.host.ledger.writeApproval(approval)
    browser = await Browser.open()
    page = await browser.page()
    ofBob = await browser.page()
    await ofBob.setViewportSize({ width: 390, height: 800 })
    await page.goto(`${waiting.server.url}/#/locks`)
  })

  afterAll(async () => {
    await browser?.close()
    await waiting?.close()
  })

  it('is led to by the console, which marks what is destroyed', async () => {
    const card = page.getByRole('region', { name: heading })
    await card.getByText('2 to add, 0 to change, 1 to destroy').waitFor()
    await card.getByRole('alert').getByText('aws_db_instance.main is destroyed and made anew').waitFor()
    const address = await card.getByRole('link', { name: 'Page of bob' }).getAttribute('href')
    await ofBob.goto(`${waiting.server.url}${address}`)
  })

  it('shows what changes, marks what is destroyed, and no secret', async () => {
    await ofBob.getByRole('heading', { name: heading }).waitFor()
    await ofBob.getByRole('alert').getByText('This plan destroys or replaces 1 resource.').waitFor()
    await ofBob.getByText('engine: "14" → "15"').waitFor()
    await ofBob.getByText('password: (sensitive)').waitFor()
    await ofBob.getByText('id: (known after apply)').waitFor()
    expect(await ofBob.content()).not.toContain('hunter2')
    expect(await ofBob.locator('html').evaluate((root) => root.scrollWidth > root.clientWidth)).toBe(false)
  })

  it('takes the decision of a person, by a button', async () => {
    await ofBob.getByRole('button', { name: 'Deny' }).click()
    await ofBob.getByText('It is denied.').waitFor()
    expect(await waiting.host.ledger.readApproval(approval.id)).toMatchObject({
      decisions: [{ by: 'bob', decision: 'deny' }],
      closed: { how: 'denied' },
    })
    expect(browser.errors).toEqual([])
  })
})
