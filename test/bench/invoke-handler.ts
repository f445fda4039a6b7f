/**
 * A process of its own for one invocation of a bundled function: `node invoke-handler.ts BUNDLE PAYLOAD`. Writes the
 * most memory that this process ever had resident, in KiB, and what the function answered, as one line of JSON.
 */
import { pathToFileURL } from 'node:url'

const [bundle = '', payload = ''] = process.argv.slice(2)
const { handler } = await import(pathToFileURL(bundle).href)
const answer = await handler(JSON.parse(payload))
process.stdout.write(`\n${JSON.stringify({ maxRssKib: process.resourceUsage().maxRSS, answer })}\n`)
// The function's clients keep their connections, as in Lambda.
process.exit(0)
