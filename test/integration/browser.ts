import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BrowserContext, chromium, type Page } from 'playwright-core'

const executablePath = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium'

/** Why there is no browser to test with; undefined where there is one. */
export const whyNoBrowser = existsSync(executablePath)
  ? undefined
  : `skipped: no browser at ${executablePath}; set CHROMIUM_PATH`

const quietly = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking']

/** A real browser with a profile of its own. */
export class Browser {
  readonly context: BrowserContext
  /** What pages complained of: errors of scripts, and content that was refused. */
  readonly errors: string[] = []
  private readonly profile: string

  private constructor(context: BrowserContext, profile: string) {
    this.context = context
    this.profile = profile
  }

  static async open(): Promise<Browser> {
    const profile = mkdtempSync(join(tmpdir(), 'lockstep-browser-'))
    const args = [...quietly, '--disable-component-update', '--disable-sync']
    const context = await chromium.launchPersistentContext(profile, { executablePath, headless: true, args })
    return new Browser(context, profile)
  }

  /** A new page. Whatever it asks is answered with yes. */
  async page(): Promise<Page> {
    const page = await this.context.newPage()
    page.on('pageerror', (error) => this.errors.push(String(error)))
    page.on('console', (message) => {
      if (message.type() === 'error') this.errors.push(message.text())
    })
    page.on('dialog', (dialog) => dialog.accept(dialog.type() === 'prompt' ? 'the node is gone' : undefined))
    return page
  }

  async close(): Promise<void> {
    await this.context.close()
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 3 })
  }
}
