/**
 * A process of its own for the bundled webhook: `node invoke-webhook.mjs BUNDLE PAYLOAD-FILE COUNT`. Loads it, and sends
 * it that many pushes with a delivery id each, signed with WEBHOOK_SECRET, one after the other. Writes how long it took
 * to load and to answer each, in milliseconds, as one line of JSON. The first push is not counted: it opens the
 * connections, and reads the secret. JavaScript, so that Node's stripping of types is not measured.
 */
import { performance } from 'node:perf_hooks'
import { pathToFileURL } from 'node:url'

const [bundle = '', payloadFile = '', count = '0'] = process.argv.slice(2)
const begin = performance.now()
const { handler } = await import(pathToFileURL(bundle).href)
const importMs = performance.now() - begin

// Loaded after the bundle, so that what the two share is the bundle's own cost.
const { createHmac, randomUUID } = await import('node:crypto')
const { readFileSync } = await import('node:fs')

const body = JSON.stringify(JSON.parse(readFileSync(payloadFile, 'utf8')))
const signature = createHmac('sha256', process.env.WEBHOOK_SECRET ?? '')
  .update(body)
  .digest('hex')

/** @type {number[]} */
const answerMs = []
for (let sent = 0; sent <= Number(count) && count !== '0'; sent++) {
  const headers = {
    'content-type': 'application/json',
    'x-github-event': 'push',
    'x-github-delivery': randomUUID(),
    'x-hub-signature-256': `sha256=${signature}`,
  }
  const asked = performance.now()
  const { statusCode } = await handler({ headers, body, isBase64Encoded: false })
  if (statusCode !== 202) throw new Error(`the webhook answered ${statusCode}`)
  if (sent > 0) answerMs.push(performance.now() - asked)
}
process.stdout.write(`\n${JSON.stringify({ importMs, answerMs })}\n`)
process.exit(0)
